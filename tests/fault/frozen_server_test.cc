// SPDX-License-Identifier: GPL-3.0-or-later
// A server that answers late.
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <future>

#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::StatusIs;

// Returns when all of its threads have stopped.
void Freeze(FaultServer& server) {
  server.process().process().Signal(SIGSTOP);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, server.pid(), &info, WSTOPPED | WNOWAIT), 0);
}

TEST(FrozenServerTest, AConnectionHasAsLongAsTheCall) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  // The kernel accepts connections for it.
  Freeze(server);
  std::future<absl::Status> call = std::async(
      std::launch::async, [&] { return client->GetNode().status(); });
  EXPECT_EQ(call.wait_for(std::chrono::milliseconds(500)),
            std::future_status::timeout);
  server.process().process().Signal(SIGCONT);
  EXPECT_OK(call.get());
}

TEST(FrozenServerTest, ACallEndsAtItsDeadline) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  Freeze(server);
  EXPECT_THAT(client->GetNode({.timeout = absl::Milliseconds(300)}).status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  server.process().process().Signal(SIGCONT);
  EXPECT_OK(client->GetNode().status());
}

}  // namespace
}  // namespace nfmeter
