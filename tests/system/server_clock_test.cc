// SPDX-License-Identifier: GPL-3.0-or-later
// Somebody sets the clock of the host on which nfmeterd runs.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>

#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using std::chrono::steady_clock;

// Reads what comes until the server closes the connection.
void AwaitEnd(int fd, std::chrono::seconds at_most) {
  const auto end = steady_clock::now() + at_most;
  char buffer[4096];
  pollfd ready = {fd, POLLIN, 0};
  while (steady_clock::now() < end && poll(&ready, 1, 1'000) >= 0) {
    if (ready.revents != 0 && read(fd, buffer, sizeof(buffer)) <= 0) return;
  }
}

class ServerClockTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Steps, ServerClockTest,
                         ::testing::Values("-3600", "3600"));

// gRPC's timers would stand still for an hour else, and with them the time that
// a connection has to say what it wants, its keepalive and its age.
TEST_P(ServerClockTest, ASilentConnectionEndsInTime) {
  NfmeterdProcess server(
      {.wrapper = {"env", "LD_PRELOAD=" CLOCK_STEP_LIBRARY,
                   std::string("CLOCK_STEP=") + GetParam()}});
  ASSERT_OK(server.WaitUntilReady());
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{.sun_family = AF_UNIX};
  std::strncpy(name.sun_path, server.socket_path().c_str(),
               sizeof(name.sun_path) - 1);
  ASSERT_EQ(
      connect(client.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)),
      0);
  const auto start = steady_clock::now();
  AwaitEnd(client.get(), std::chrono::seconds(30));
  const std::chrono::duration<double> took = steady_clock::now() - start;
  EXPECT_GE(took.count(), 4);
  EXPECT_LT(took.count(), 15);
}

}  // namespace
}  // namespace nfmeter
