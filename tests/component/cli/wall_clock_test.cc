// SPDX-License-Identifier: GPL-3.0-or-later
// Somebody sets the clock while the command waits.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

// A unix socket that takes connections and never says a word.
class SilentServer {
 public:
  SilentServer() : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un name{.sun_family = AF_UNIX};
    std::strncpy(name.sun_path, path().c_str(), sizeof(name.sun_path) - 1);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&name), sizeof(name)),
              0);
    EXPECT_EQ(listen(socket_, 16), 0);
  }
  ~SilentServer() { close(socket_); }
  std::string path() const { return folder_ / "silent.sock"; }

 private:
  const TemporaryDirectory folder_;
  const int socket_;
};

using WallClockTest = ::testing::TestWithParam<const char*>;

TEST_P(WallClockTest, ATimeoutIsNotLongerOrShorterForAStep) {
  const SilentServer server;
  const auto start = std::chrono::steady_clock::now();
  const RunResult result = testing::Run(
      {"env", "LD_PRELOAD=" CLOCK_STEP_LIBRARY,
       std::string("CLOCK_STEP=") + GetParam(), NFMETER, "--server",
       "unix:" + server.path(), "node", "--timeout", "4s"});
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(result.exit_code, 6) << result.out << result.err;
  EXPECT_GE(took.count(), 3.5);
  EXPECT_LT(took.count(), 8);
}

INSTANTIATE_TEST_SUITE_P(Steps, WallClockTest,
                         ::testing::Values("-3600", "0", "3600"));

}  // namespace
}  // namespace nfmeter::testing
