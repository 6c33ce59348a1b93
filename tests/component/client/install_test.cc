// SPDX-License-Identifier: GPL-3.0-or-later
// The SDK as others find it: installed, found by CMake, linked, run.
#include <cstdlib>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/component/client/fake_server.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FakeServer;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::HasSubstr;

void Succeeds(const std::vector<std::string>& argv) {
  const RunResult result = testing::Run(argv);
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
}

// A counter that grows by 1,500 bytes a frame.
void ServeExample(FakeServer& server) {
  server.counters.on_CreateCounter = [](const auto& request, auto* response) {
    *response->mutable_counter() = request.counter();
    return grpc::Status::OK;
  };
  server.rules.on_CreateRule = [](const auto& request, auto* response) {
    *response->mutable_rule() = request.rule();
    return grpc::Status::OK;
  };
  server.snapshots.on_WatchSnapshots = [](auto& context, const auto&,
                                          auto& writer) {
    for (int i = 1; !context.IsCancelled(); ++i) {
      v1::WatchSnapshotsResponse response;
      v1::SnapshotFrame& frame = *response.mutable_frame();
      frame.set_epoch(7);
      frame.set_sequence(i);
      frame.set_full(true);
      frame.set_complete(true);
      frame.set_expected_count(1);
      frame.set_last_chunk(true);
      frame.mutable_columns()->add_ids(0);
      frame.mutable_columns()->add_packets(i);
      frame.mutable_columns()->add_bytes(1500 * i);
      if (i == 1) frame.mutable_columns()->set_new_names("example-http\n");
      if (!writer.Write(response)) break;
    }
    return grpc::Status::OK;
  };
}

TEST(InstallTest, TheExampleBuildsAgainstTheInstalledPackageAndRuns) {
  TemporaryDirectory directory;
  const std::string prefix = directory / "prefix";
  const std::string build = directory / "build";
  ASSERT_NO_FATAL_FAILURE(Succeeds({CMAKE_PROGRAM, "--install", BUILD_FOLDER,
                                    "--component", "sdk", "--prefix", prefix}));
  ASSERT_NO_FATAL_FAILURE(
      Succeeds({CMAKE_PROGRAM, "-S", EXAMPLES, "-B", build,
                "-DCMAKE_PREFIX_PATH=" + prefix,
                std::string("-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror ") +
                    EXAMPLE_FLAGS}));
  ASSERT_NO_FATAL_FAILURE(Succeeds({CMAKE_PROGRAM, "--build", build}));

  FakeServer server;
  ServeExample(server);
  const RunResult run = testing::Run(
      {"env", "NFMETER_SERVER=" + server.address(), build + "/top_talkers"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("snapshot 3: 1 counters"),
                             HasSubstr("4500 bytes  +1500")));

  const RunResult nobody =
      testing::Run({build + "/top_talkers", "unix:/nowhere/sock"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, AllOf(HasSubstr("there is no socket /nowhere/sock"),
                                HasSubstr("nfmeterd is not running")));
}

}  // namespace
}  // namespace nfmeter
