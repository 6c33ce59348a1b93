// SPDX-License-Identifier: GPL-3.0-or-later
// HTTP over TLS on the server's two threads, while its files are replaced. Also
// run under ThreadSanitizer.
#include "telemetry/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "telemetry/http_tls.h"
#include "tests/support/read_file.h"
#include "tests/support/self_signed.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::telemetry {
namespace {

using ::testing::EndsWith;
using testing::ReadFile;

class HttpServerTest : public ::testing::Test {
 protected:
  // Its own authority, and the client's and the server's certificate at once.
  void SetUp() override { testing::MakeSelfSigned(certificate_, key_); }

  std::shared_ptr<const HttpTls> Tls() const {
    const std::string certificate = ReadFile(certificate_);
    auto tls = HttpTls::Make({.certificate = certificate,
                              .key = ReadFile(key_),
                              .client_ca = certificate});
    EXPECT_OK(tls);
    return *std::move(tls);
  }

  // One that listens on a port of the kernel's choice.
  UniqueFd Listen() {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd.get(), 64), 0);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    return fd;
  }

  testing::RunResult Get() const {
    return testing::Run({"curl", "-sS", "--cacert", certificate_, "--cert",
                         certificate_, "--key", key_,
                         absl::StrCat("https://localhost:", port_, "/")});
  }

  testing::TemporaryDirectory dir_;
  const std::string certificate_ = dir_ / "all.crt";
  const std::string key_ = dir_ / "all.key";
  int port_ = 0;
};

TEST_F(HttpServerTest, AnswersWhileItsFilesAreReplaced) {
  constexpr int kClients = 4;
  constexpr int kRequests = 5;
  std::atomic<int> asked = 0;
  auto server = HttpServer::Start(
      Listen(), {.max_connections = kClients + 1, .tls = Tls()},
      [&asked](const HttpRequest& request) {
        ++asked;
        return HttpAnswer{.body = absl::StrCat(request.Certificate().size(),
                                               " bytes of certificate")};
      });
  ASSERT_OK(server);
  std::atomic<bool> over = false;
  std::thread replacing([&] {
    while (!over) (*server)->UseTls(Tls());
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this] {
      for (int j = 0; j < kRequests; ++j) {
        const testing::RunResult got = Get();
        EXPECT_EQ(got.exit_code, 0) << got.err;
        EXPECT_THAT(got.out, EndsWith(" bytes of certificate"));
        EXPECT_NE(got.out.front(), '0');
      }
    });
  }
  for (std::thread& client : clients) client.join();
  over = true;
  replacing.join();
  EXPECT_EQ(asked, kClients * kRequests);
}

// A client that connects and says nothing, and goes at the end.
UniqueFd Idle(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

// Idle clients hold a connection for 15 s. The limits of curl are far below
// that, and far above what an answer takes.
TEST_F(HttpServerTest, IdleClientsDelayNobody) {
  for (const bool over_tls : {false, true}) {
    auto server = HttpServer::Start(
        Listen(), {.tls = over_tls ? Tls() : nullptr},
        [](const HttpRequest&) { return HttpAnswer{.body = "here"}; });
    ASSERT_OK(server);
    std::vector<UniqueFd> idle;
    const auto ask = [&] {
      const std::string scheme = over_tls ? "https" : "http";
      return testing::Run({"curl", "-sS", "--max-time", "8", "--cacert",
                           certificate_, "--cert", certificate_, "--key", key_,
                           absl::StrCat(scheme, "://localhost:", port_, "/")})
          .out;
    };
    for (int i = 0; i < 40; ++i) idle.push_back(Idle(port_));
    EXPECT_EQ(ask(), "here") << over_tls;
    // More than there are connections: the later ones give way soon.
    for (int i = 0; i < 240; ++i) idle.push_back(Idle(port_));
    EXPECT_EQ(ask(), "here") << over_tls;
  }
}

}  // namespace
}  // namespace nfmeter::telemetry
