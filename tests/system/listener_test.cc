// SPDX-License-Identifier: GPL-3.0-or-later
// Where nfmeterd listens, and who is let in.
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/client.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Eventually;
using ::nfmeter::testing::HealthOf;
using ::nfmeter::testing::kExitConfig;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kExitListen = 4;

struct stat StatOf(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(stat(path.c_str(), &found), 0) << path;
  return found;
}

TEST(UnixListenerTest, TheSocketHasTheModeAndGroupThatWereAskedFor) {
  const std::string group = absl::StrCat(getgid());
  NfmeterdProcess server(
      {.arguments = {"--socket-mode", "0606", "--socket-group", group}});
  ASSERT_OK(server.WaitUntilReady());
  const struct stat found = StatOf(server.socket_path());
  EXPECT_EQ(found.st_mode & 07777, 0606u);
  EXPECT_EQ(found.st_gid, getgid());
}

TEST(UnixListenerTest, TheSocketIsForUserAndGroupByDefault) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_EQ(StatOf(server.socket_path()).st_mode & 07777, 0660u);
}

TEST(UnixListenerTest, TheDefaultSocketAndItsFolderAreMade) {
  // /run is the test's own.
  NfmeterdProcess server({.listen_on_socket = false});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_EQ(StatOf("/run/nfmeter").st_mode & 07777, 0755u);
  EXPECT_EQ(HealthOf(grpc::CreateChannel("unix:/run/nfmeter/nfmeter.sock",
                                         grpc::InsecureChannelCredentials()),
                     ""),
            "SERVING");
}

TEST(UnixListenerTest, TheSocketOfAKilledServerIsReplaced) {
  testing::TemporaryDirectory dir;
  const std::vector<std::string> listen = {"--listen",
                                           "unix:" + (dir / "shared")};
  {
    NfmeterdProcess killed({.arguments = listen, .listen_on_socket = false});
    ASSERT_OK(killed.WaitUntilReady());
    killed.process().Signal(SIGKILL);
    killed.process().Wait(absl::Seconds(20));
  }
  ASSERT_TRUE(std::filesystem::exists(dir / "shared"));
  NfmeterdProcess next({.arguments = listen, .listen_on_socket = false});
  ASSERT_OK(next.WaitUntilReady());
  EXPECT_EQ(HealthOf(grpc::CreateChannel("unix:" + (dir / "shared"),
                                         grpc::InsecureChannelCredentials()),
                     ""),
            "SERVING");
}

TEST(UnixListenerTest, ALiveServerKeepsItsSocket) {
  NfmeterdProcess first;
  ASSERT_OK(first.WaitUntilReady());
  NfmeterdProcess second(
      {.arguments = {"--listen", first.target()}, .listen_on_socket = false});
  EXPECT_EQ(second.process().Wait(absl::Seconds(20)), kExitListen);
  EXPECT_THAT(second.Log(),
              HasSubstr("cannot listen on " + first.target() +
                        ": another nfmeterd serves " + first.socket_path() +
                        "; stop it or choose another path"));
  EXPECT_EQ(HealthOf(first.Channel(), ""), "SERVING");
}

TEST(UnixListenerTest, WhatIsNotASocketIsLeftAlone) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "file") << "precious";
  NfmeterdProcess server({.arguments = {"--listen", "unix:" + (dir / "file")},
                          .listen_on_socket = false});
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), kExitListen);
  EXPECT_THAT(server.Log(), HasSubstr("something that is not a socket is "
                                      "there; remove it or choose another "
                                      "path"));
  EXPECT_EQ(std::filesystem::file_size(dir / "file"), 8u);
}

TEST(UnixListenerTest, SeveralSocketsServe) {
  testing::TemporaryDirectory dir;
  NfmeterdProcess server({.arguments = {"--listen", "unix:" + (dir / "b"),
                                        "--listen", "unix:" + (dir / "c")}});
  ASSERT_OK(server.WaitUntilReady());
  for (const std::string& path : {server.socket_path(), dir / "b", dir / "c"}) {
    EXPECT_EQ(HealthOf(grpc::CreateChannel("unix:" + path,
                                           grpc::InsecureChannelCredentials()),
                       ""),
              "SERVING");
  }
}

TEST(UnixListenerTest, NothingIsLeftWhenOneOfTwoListenersFails) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "file") << "x";
  NfmeterdProcess server({.arguments = {"--listen", "unix:" + (dir / "file")}});
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), kExitListen);
  EXPECT_FALSE(std::filesystem::exists(server.socket_path()));
}

TEST(TcpListenerTest, InsecureLoopbackServesOnLoopback) {
  NfmeterdProcess server(
      {.arguments = {"--listen", "tcp:127.0.0.1:0", "--insecure-loopback"}});
  ASSERT_OK(server.WaitUntilReady());
  const std::string address = server.TcpAddress("127.0.0.1");
  ASSERT_NE(address, "127.0.0.1:0");
  EXPECT_EQ(
      HealthOf(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()),
               ""),
      "SERVING");
}

TEST(TcpListenerTest, WithoutTlsOnlyLoopbackAndOnlyWhenAsked) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } cases[] = {
      {{"--listen", "127.0.0.1:0"},
       "nfmeterd: cannot listen on 127.0.0.1:0: TCP needs mutual TLS; give "
       "tls certificate, key and client_ca, or --insecure-loopback to let "
       "every user of this host in\n"},
      {{"--listen", "0.0.0.0:0"},
       "nfmeterd: cannot listen on 0.0.0.0:0: TCP needs mutual TLS; give tls "
       "certificate, key and client_ca, or use a unix socket\n"},
      {{"--listen", "0.0.0.0:0", "--insecure-loopback"},
       "nfmeterd: cannot listen on 0.0.0.0:0: without TLS only loopback "
       "addresses are allowed; give tls certificate, key and client_ca\n"}};
  for (const auto& [arguments, message] : cases) {
    NfmeterdProcess server({.arguments = arguments});
    EXPECT_EQ(server.process().Wait(absl::Seconds(20)), kExitConfig);
    EXPECT_EQ(server.Log(), message);
  }
}

TEST(TcpListenerTest, APortInUseIsNamed) {
  NfmeterdProcess first(
      {.arguments = {"--listen", "127.0.0.1:0", "--insecure-loopback"}});
  ASSERT_OK(first.WaitUntilReady());
  const std::string address = first.TcpAddress("127.0.0.1");
  NfmeterdProcess second(
      {.arguments = {"--listen", address, "--insecure-loopback"}});
  EXPECT_EQ(second.process().Wait(absl::Seconds(20)), kExitListen);
  EXPECT_THAT(second.Log(),
              HasSubstr("cannot listen on " + address +
                        ": the port is in use; stop what uses it or choose "
                        "another"));
  EXPECT_FALSE(std::filesystem::exists(second.socket_path()));
}

TEST(TcpListenerTest, Ipv6LoopbackIsLoopback) {
  NfmeterdProcess server(
      {.arguments = {"--listen", "127.0.0.1:0", "--insecure-loopback",
                     "--listen", "[::1]:0"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_EQ(HealthOf(grpc::CreateChannel(server.TcpAddress("[::1]"),
                                         grpc::InsecureChannelCredentials()),
                     ""),
            "SERVING");
}

// With a port of its own, and so with a sandbox that allows no other.
TEST(TcpListenerTest, Ipv6IsServedUnderTheSandbox) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "hosts") << "127.0.0.1 localhost\n::1 localhost\n";
  ASSERT_EQ(
      mount((dir / "hosts").c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr),
      0);
  for (const auto& [listen, says, reach] :
       std::vector<std::array<std::string, 3>>{
           {"[::1]:7501", "[::1]:7501", "[::1]:7501"},
           {"localhost:7502", "127.0.0.1:7502", "127.0.0.1:7502"},
           {"localhost:7503", "[::1]:7503", "[::1]:7503"}}) {
    NfmeterdProcess server(
        {.arguments = {"--listen", listen, "--insecure-loopback"}});
    ASSERT_OK(server.WaitUntilReady());
    EXPECT_THAT(server.Log(), HasSubstr(says));
    EXPECT_EQ(
        HealthOf(grpc::CreateChannel(reach, grpc::InsecureChannelCredentials()),
                 ""),
        "SERVING");
  }
}

// As in many containers: no IPv6, and a name that has an address of it.
TEST(TcpListenerTest, ANameIsServedOnThoseOfItsAddressesThatTheHostHas) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "hosts") << "127.0.0.1 localhost\n::1 localhost\n";
  ASSERT_EQ(
      mount((dir / "hosts").c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr),
      0);
  std::ofstream("/proc/sys/net/ipv6/conf/lo/disable_ipv6") << "1";
  NfmeterdProcess server(
      {.arguments = {"--listen", "localhost:0", "--insecure-loopback"}});
  ASSERT_OK(server.WaitUntilReady());
  const std::string address = server.TcpAddress("127.0.0.1");
  EXPECT_EQ(HealthOf(grpc::CreateChannel(
                         absl::StrCat("127.0.0.1",
                                      address.substr(address.rfind(':'))),
                         grpc::InsecureChannelCredentials()),
                     ""),
            "SERVING");
}

class MutualTlsTest : public ::testing::Test {
 protected:
  MutualTlsTest() { files_.Issue("client"); }

  std::string HealthAs(const std::string& client) {
    return HealthOf(files_.Connect(server_->TcpAddress("127.0.0.1"), client),
                    "");
  }

  void Start(const std::string& certificate = "server") {
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = files_.ServerFlags(certificate)});
    ASSERT_OK(server_->WaitUntilReady());
  }

  testing::Certificates files_;
  std::unique_ptr<NfmeterdProcess> server_;
};

TEST_F(MutualTlsTest, AClientOfTheAuthorityIsLetIn) {
  Start();
  EXPECT_EQ(HealthAs("client"), "SERVING");
}

TEST_F(MutualTlsTest, AClientOfAnotherAuthorityIsNot) {
  files_.MakeAuthority("other-ca");
  files_.Issue("stranger", {.authority = "other-ca"});
  Start();
  EXPECT_EQ(HealthAs("stranger"), "UNAVAILABLE");
  EXPECT_THAT(server_->Log(), HasSubstr("certificate verify failed"));
  EXPECT_EQ(HealthAs("client"), "SERVING");
}

TEST_F(MutualTlsTest, AnExpiredClientIsNot) {
  files_.Issue("late", {.days = "-1"});
  Start();
  EXPECT_EQ(HealthAs("late"), "UNAVAILABLE");
}

TEST_F(MutualTlsTest, AClientWhoseCertificateIsNotValidYetIsNot) {
  files_.Issue("early", {.not_before = "20990101000000Z"});
  Start();
  EXPECT_EQ(HealthAs("early"), "UNAVAILABLE");
}

TEST_F(MutualTlsTest, AClientWithoutACertificateIsNot) {
  Start();
  EXPECT_EQ(HealthAs("nobody"), "UNAVAILABLE");
}

TEST_F(MutualTlsTest, AClientWithoutTlsIsNot) {
  Start();
  EXPECT_EQ(HealthOf(grpc::CreateChannel(server_->TcpAddress("127.0.0.1"),
                                         grpc::InsecureChannelCredentials()),
                     ""),
            "UNAVAILABLE");
}

// The reason of the SDK's error, and its hint.
std::string Refusal(const std::string& address, const TlsOptions& tls) {
  const auto client = Client::Connect({.address = address, .tls = tls});
  EXPECT_OK(client);
  const absl::Status status = (*client)->GetNode().status();
  return absl::StrCat(ErrorReason(status), ": ", ErrorHint(status));
}

TEST_F(MutualTlsTest, TheSdkSaysWhyItIsNotLetIn) {
  files_.Issue("late", {.days = "-1"});
  files_.MakeAuthority("other-ca");
  files_.Issue("stranger", {.authority = "other-ca"});
  Start();
  const std::string address = server_->TcpAddress("127.0.0.1");
  TlsOptions tls = {.ca_file = files_.Certificate("ca")};
  EXPECT_THAT(Refusal(address, tls),
              AllOf(StartsWith("TLS_FAILED"), HasSubstr("give one")));
  for (const char* client : {"late", "stranger"}) {
    tls.certificate_file = files_.Certificate(client);
    tls.key_file = files_.Key(client);
    EXPECT_THAT(Refusal(address, tls),
                AllOf(StartsWith("TLS_FAILED"), HasSubstr("expired")));
  }
  tls.key_file = files_.Key("client");
  EXPECT_THAT(Refusal(address, tls),
              AllOf(StartsWith("BAD_TLS_FILES"), HasSubstr("the key is")));
  tls.certificate_file = files_.Key("client");
  EXPECT_THAT(Refusal(address, tls), StartsWith("BAD_TLS_FILES"));
}

TEST_F(MutualTlsTest, OneOfManyClientsSendsAndTakesLargeMessagesToo) {
  constexpr int kCounters = 5'000;
  const std::string policy = files_.dir() / "policy.yaml";
  std::ofstream(policy)
      << "version: 1\nrules:\n  - {principals: ['cn:client'], role: admin}\n";
  std::vector<std::string> flags = files_.ServerFlags();
  flags.insert(flags.end(), {"--policy", policy});
  server_ = std::make_unique<NfmeterdProcess>(
      NfmeterdProcess::Options{.arguments = std::move(flags)});
  ASSERT_OK(server_->WaitUntilReady());
  const auto client = Client::Connect(
      {.address = server_->TcpAddress("127.0.0.1"),
       .tls = TlsOptions{files_.Certificate("ca"), files_.Certificate("client"),
                         files_.Key("client")},
       .one_of_many = true});
  ASSERT_OK(client);
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < kCounters; ++i) {
    request.add_counters()->set_name(
        absl::StrCat("a-counter-of-a-long-name-", i));
  }
  EXPECT_OK((*client)->BatchCreateCounters(request));
  const auto snapshot = (*client)->GetSnapshot();
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot->size(), kCounters);
}

TEST_F(MutualTlsTest, TheSdkTakesReplacedCertificatesUpByItself) {
  files_.MakeAuthority("other-ca");
  files_.Issue("controller", {.authority = "other-ca"});
  Start();
  const auto client = Client::Connect(
      {.address = server_->TcpAddress("127.0.0.1"),
       .tls = TlsOptions{.ca_file = files_.Certificate("ca"),
                         .certificate_file = files_.Certificate("controller"),
                         .key_file = files_.Key("controller")}});
  ASSERT_OK(client);
  const auto watch = (*client)->WatchSnapshots();
  EXPECT_EQ(ErrorReason((*client)->CheckHealth().status()), reason::kTlsFailed);
  // Half of it: what was read before stays, and is refused as before.
  std::ofstream(files_.Key("controller")) << "";
  EXPECT_EQ(ErrorReason((*client)->CheckHealth().status()), reason::kTlsFailed);
  files_.Issue("controller");
  EXPECT_THAT((*client)->CheckHealth(),
              testing::IsOkAndHolds(Health::kServing));
  // Let in, and nothing more: there is no policy.
  EXPECT_THAT(watch->Next(),
              testing::StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(MutualTlsTest, ChannelzIsForThisHostOnly) {
  NfmeterdProcess server(
      {.arguments = {"--listen", "0.0.0.0:0", "--tls-certificate",
                     files_.Certificate("server"), "--tls-key",
                     files_.Key("server"), "--tls-client-ca",
                     files_.Certificate("ca")}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(testing::CallRaw(server.Channel(),
                               "/grpc.channelz.v1.Channelz/GetServers", ""),
              testing::StatusIs(absl::StatusCode::kUnimplemented));
}

// Its files are looked at each second.
TEST_F(MutualTlsTest, ReplacedCertificatesAreTakenUpWithinTwoRefreshes) {
  Start();
  ASSERT_EQ(HealthAs("client"), "SERVING");
  files_.MakeAuthority("other-ca");
  // From now on the other authority's server and clients are the right ones.
  files_.Issue("client", {.authority = "other-ca"});
  files_.Issue("server", {.authority = "other-ca",
                          .alternative_names = "DNS:localhost,IP:127.0.0.1"});
  std::filesystem::copy_file(files_.Certificate("other-ca"),
                             files_.Certificate("ca"),
                             std::filesystem::copy_options::overwrite_existing);
  const absl::Time replaced = absl::Now();
  // Two refreshes, and half a second for a busy machine; the handshake, which
  // may take long there, does not count.
  for (absl::Time begun = replaced; HealthAs("client") != "SERVING";
       begun = absl::Now()) {
    ASSERT_LT(begun - replaced, absl::Milliseconds(2500));
  }
}

TEST_F(MutualTlsTest, FilesThatCannotBeUsedAnyMoreAreToldOf) {
  Start();
  std::ofstream(files_.Certificate("server")) << "half";
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(server_->Log(), "certificates unusable");
  }));
  const std::string why = "tls.certificate " + files_.Certificate("server") +
                          ": holds no PEM certificate";
  EXPECT_THAT(server_->Log(), HasSubstr(why));
  const auto node = testing::CallRaw(server_->Channel(),
                                     "/nfmeter.v1.NodeService/GetNode", "");
  ASSERT_OK(node.status());
  EXPECT_THAT(*node, HasSubstr(why));
}

// As many a tool leaves them while it writes: gRPC would end the process.
TEST_F(MutualTlsTest, WithFilesThatAreEmptyTheOldOnesStayInForce) {
  Start();
  ASSERT_EQ(HealthAs("client"), "SERVING");
  for (const std::string& file :
       {files_.Certificate("server"), files_.Key("server"),
        files_.Certificate("ca")}) {
    std::ofstream(file, std::ios::trunc).close();
  }
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(server_->Log(), "certificates unusable");
  }));
  // gRPC looks at what it follows each second.
  absl::SleepFor(absl::Seconds(2));
  const auto node = testing::CallRaw(server_->Channel(),
                                     "/nfmeter.v1.NodeService/GetNode", "");
  ASSERT_OK(node.status());
  EXPECT_THAT(*node, HasSubstr("those from before are in force"));
}

TEST_F(MutualTlsTest, AnAddressOfAnotherHostIsNamed) {
  std::vector<std::string> arguments = files_.ServerFlags();
  arguments[1] = "192.0.2.1:7443";
  NfmeterdProcess server({.arguments = arguments});
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), kExitListen);
  EXPECT_THAT(server.Log(), HasSubstr("cannot listen on 192.0.2.1:7443: this "
                                      "host has no such address"));
}

TEST_F(MutualTlsTest, FilesThatCannotBeUsedAreNamed) {
  NfmeterdProcess missing({.arguments = files_.ServerFlags("none")});
  EXPECT_EQ(missing.process().Wait(absl::Seconds(20)), kExitConfig);
  EXPECT_EQ(missing.Log(), "nfmeterd: tls.certificate " +
                               (files_.Certificate("none")) +
                               ": cannot be read: No such file or directory\n");

  std::filesystem::copy_file(files_.Key("client"), files_.Key("mixed"));
  std::filesystem::copy_file(files_.Certificate("server"),
                             files_.Certificate("mixed"));
  NfmeterdProcess mixed({.arguments = files_.ServerFlags("mixed")});
  EXPECT_EQ(mixed.process().Wait(absl::Seconds(20)), kExitConfig);
  EXPECT_EQ(mixed.Log(), "nfmeterd: tls.key " + (files_.Key("mixed")) +
                             ": is not the key of " +
                             (files_.Certificate("mixed")) + "\n");
}

TEST_F(MutualTlsTest, AnExpiredServerCertificateIsToldOf) {
  files_.Issue("old", {.days = "-1"});
  Start("old");
  EXPECT_THAT(server_->Log(),
              HasSubstr("warning odd configuration "
                        "detail=\"" +
                        (files_.Certificate("old")) + " has expired"));
}

}  // namespace
}  // namespace nfmeter
