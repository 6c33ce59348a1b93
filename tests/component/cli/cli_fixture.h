// SPDX-License-Identifier: GPL-3.0-or-later
// The command and a server for it.
#ifndef NFMETER_TESTS_COMPONENT_CLI_CLI_FIXTURE_H_
#define NFMETER_TESTS_COMPONENT_CLI_CLI_FIXTURE_H_

#include <sys/stat.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/component/client/fake_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

class CliTest : public ::testing::Test {
 protected:
  // Runs nfmeter against the server.
  RunResult Nfmeter(std::vector<std::string> arguments,
                    const std::string& input = "") {
    std::vector<std::string> argv = {
        "env",    "-u",   "NO_COLOR", "NFMETER_SERVER=" + server_.address(),
        "TZ=UTC", NFMETER};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return testing::Run(argv, input);
  }

  // The same for a line of shell, in which $NFMETER is the command.
  RunResult Shell(const std::string& line) {
    return testing::Run({"env", "-u", "NO_COLOR", "TERM=xterm",
                         "NFMETER_SERVER=" + server_.address(), "TZ=UTC",
                         std::string("NFMETER=") + NFMETER, "bash", "-c",
                         line});
  }

  // The same on a terminal, in an environment such as "TERM=dumb". It has a
  // keyboard on which nobody types, and which does not end, as an empty input
  // would: script then loses what was printed, now and then.
  RunResult OnTerminal(const std::string& line,
                       const std::string& environment = "") {
    TemporaryDirectory folder;
    const std::string keyboard = folder / "keyboard";
    EXPECT_EQ(mkfifo(keyboard.c_str(), 0600), 0);
    return Shell(absl::StrCat(environment, " script -qec '", line,
                              "' /dev/null <>", keyboard));
  }

  // A status as nfmeterd sends it.
  static grpc::Status Error(
      grpc::StatusCode code, const std::string& message,
      const std::vector<std::pair<std::string, std::string>>& fields = {},
      const std::string& reason = "SOME_REASON",
      const std::map<std::string, std::string>& metadata = {}) {
    google::rpc::Status status;
    status.set_code(code);
    status.set_message(message);
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain("nfmeter");
    info.mutable_metadata()->insert(metadata.begin(), metadata.end());
    status.add_details()->PackFrom(info);
    google::rpc::BadRequest request;
    for (const auto& [field, description] : fields) {
      auto* violation = request.add_field_violations();
      violation->set_field(field);
      violation->set_description(description);
    }
    if (!fields.empty()) status.add_details()->PackFrom(request);
    return grpc::Status(code, message, status.SerializeAsString());
  }

  template <typename Message>
  static Message Json(const std::string& text) {
    Message message;
    const auto status =
        google::protobuf::util::JsonStringToMessage(text, &message);
    EXPECT_OK(status) << "\n" << text;
    return message;
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  const TemporaryDirectory folder_;
  FakeServer server_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_CLI_CLI_FIXTURE_H_
