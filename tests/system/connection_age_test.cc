// SPDX-License-Identifier: GPL-3.0-or-later
// What streams see of the age of their connection (limits.tls_connection_age):
// through a client that is not ours (buf curl: Go), and through the SDK.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/client.h"
#include "nfmeter/watch.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/buf_client.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Background;
using ::nfmeter::testing::BufPath;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::HasSubstr;
using ::testing::Not;

// In each frame as buf writes it.
constexpr char kFrame[] = R"("lastChunk":)";

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// A server whose connections over TLS are old after a second, and end two
// later.
class ConnectionAgeTest : public ::testing::Test {
 protected:
  ConnectionAgeTest() {
    files_.Issue("client");
    std::ofstream(policy_)
        << "version: 1\nrules:\n  - {principals: ['cn:*'], role: viewer}\n";
    std::vector<std::string> flags = files_.ServerFlags();
    for (const char* flag : {"--tls-connection-age", "1s",
                             "--tls-connection-grace", "2s", "--policy"}) {
      flags.emplace_back(flag);
    }
    flags.push_back(policy_);
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = std::move(flags)});
  }

  void SetUp() override {
    setenv("BUF_CACHE_DIR", files_.dir().path().c_str(), 1);
    setenv("BUF_CONFIG_DIR", files_.dir().path().c_str(), 1);
    ASSERT_OK(server_->WaitUntilReady());
  }

  // buf, which watches snapshots; `to` are its flags for the connection. Its
  // HTTP/2 library writes down each frame of the protocol, too.
  std::unique_ptr<Background> Watch(const std::vector<std::string>& to,
                                    const std::string& url,
                                    const std::string& log) {
    std::vector<std::string> command = {
        "env",        "GODEBUG=http2debug=2",
        "timeout",    "30",
        BufPath(),    "curl",
        "--protocol", "grpc",
        "-d",         R"({"interval": "0.1s"})"};
    command.insert(command.end(), to.begin(), to.end());
    command.push_back(url + "/nfmeter.v1.SnapshotService/WatchSnapshots");
    return std::make_unique<Background>(command, log);
  }

  testing::Certificates files_;
  const std::string policy_ = files_.dir() / "policy.yaml";
  std::unique_ptr<NfmeterdProcess> server_;
};

TEST_F(ConnectionAgeTest, AForeignStreamIsToldToGoAndHasTheGraceToEnd) {
  const std::string local_log = files_.dir() / "local";
  const std::string tls_log = files_.dir() / "tls";
  const auto local = Watch(
      {"--unix-socket", server_->socket_path(), "--http2-prior-knowledge"},
      "http://localhost", local_log);
  const std::string address = server_->TcpAddress("127.0.0.1");
  const auto tls =
      Watch({"--cacert", files_.Certificate("ca"), "--cert",
             files_.Certificate("client"), "--key", files_.Key("client")},
            "https://localhost" + address.substr(address.rfind(':')), tls_log);
  EXPECT_NE(tls->Wait(absl::Seconds(20)), 0);
  const size_t local_frames = CountOf(testing::ReadFile(local_log), kFrame);

  const std::string seen = testing::ReadFile(tls_log);
  const size_t goaway = seen.find("read GOAWAY");
  ASSERT_NE(goaway, std::string::npos) << seen;
  EXPECT_THAT(seen.substr(goaway, 200), HasSubstr("ErrCode=NO_ERROR"));
  // Frames go on during the grace; then the stream ends with what clients try
  // again after.
  EXPECT_GT(CountOf(seen.substr(0, goaway), kFrame), 2u);
  EXPECT_GT(CountOf(seen.substr(goaway), kFrame), 5u);
  EXPECT_THAT(seen, HasSubstr(R"("unavailable")"));

  // Local connections have no age.
  EXPECT_TRUE(testing::Eventually([&] {
    return CountOf(testing::ReadFile(local_log), kFrame) >= local_frames + 10;
  }));
  EXPECT_THAT(testing::ReadFile(local_log), Not(HasSubstr("GOAWAY")));
}

TEST_F(ConnectionAgeTest, TheSdkGoesOn) {
  const auto client = Client::Connect(
      {.address = server_->TcpAddress("127.0.0.1"),
       .tls = TlsOptions{.ca_file = files_.Certificate("ca"),
                         .certificate_file = files_.Certificate("client"),
                         .key_file = files_.Key("client")}});
  ASSERT_OK(client);
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_nanos(500'000'000);
  const auto watch = (*client)->WatchSnapshots(request);
  uint64_t sequence = 0;
  while (true) {
    const auto frame = watch->Next();
    ASSERT_OK(frame);
    EXPECT_GT(frame->sequence, sequence);
    EXPECT_FALSE(frame->epoch_changed);
    sequence = frame->sequence;
    if (frame->reconnects >= 2) break;
  }
}

}  // namespace
}  // namespace nfmeter
