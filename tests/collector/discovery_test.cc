// SPDX-License-Identifier: GPL-3.0-or-later
// Targets by SRV records, from a DNS server of the test's.
#include <arpa/inet.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "collector/target_watch.h"
#include "collector/targets.h"
#include "gmock/gmock.h"
#include "tests/collector/collector_process.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using collector::Discover;
using collector::Discovery;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Answers each question with two SRV records, or that there is none, on port 53
// of the test's own network namespace; the resolver's file points there.
class DnsServer {
 public:
  explicit DnsServer(bool has_records) : has_records_(has_records) {
    std::ofstream(dir_ / "resolv.conf") << "nameserver 127.0.0.1\n";
    EXPECT_EQ(mount((dir_ / "resolv.conf").c_str(), "/etc/resolv.conf", nullptr,
                    MS_BIND, nullptr),
              0);
    socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~DnsServer() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
    umount2("/etc/resolv.conf", MNT_DETACH);
  }

 private:
  void Serve() {
    char question[512];
    sockaddr_in from = {};
    for (;;) {
      socklen_t size = sizeof(from);
      const ssize_t length =
          recvfrom(socket_, question, sizeof(question), 0,
                   reinterpret_cast<sockaddr*>(&from), &size);
      if (length <= 12) return;
      const std::string answer =
          Answer(std::string(question, static_cast<size_t>(length)));
      sendto(socket_, answer.data(), answer.size(), 0,
             reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  // RFC 1035, 4.1; RFC 2782.
  std::string Answer(const std::string& question) const {
    const size_t end = question.find('\0', 12) + 5;  // name, type, class
    std::string answer = question.substr(0, 2);
    answer += has_records_ ? std::string("\x81\x80\0\1\0\2\0\0\0\0", 10)
                           : std::string("\x81\x83\0\1\0\0\0\0\0\0", 10);
    answer += question.substr(12, end - 12);
    if (!has_records_) return answer;
    for (const char host : {'b', 'a'}) {
      // The question's name; SRV, IN, 60 s, 17 bytes: priority, weight, port
      // 7878, "X.example.".
      answer += std::string("\xc0\x0c\0\x21\0\1\0\0\0\x3c\0\x11", 12);
      answer += std::string("\0\0\0\0\x1e\xc6\1", 7);
      answer += host;
      answer += std::string("\7example\0", 9);
    }
    return answer;
  }

  const bool has_records_;
  testing::TemporaryDirectory dir_;
  int socket_ = -1;
  std::thread thread_;
};

Discovery Services() {
  Discovery discovery;
  discovery.kind = Discovery::Kind::kSrv;
  discovery.name = "_nfmeter._tcp.example.";
  discovery.pattern.insecure = true;
  return discovery;
}

TEST(DiscoveryTest, SrvRecordsAreTargets) {
  const DnsServer server(/*has_records=*/true);
  const auto targets = Discover(Services());
  ASSERT_OK(targets.status());
  ASSERT_THAT(*targets, SizeIs(2));
  EXPECT_EQ((*targets)[0].address, "a.example:7878");
  EXPECT_EQ((*targets)[1].name, "b.example:7878");
  EXPECT_TRUE((*targets)[0].insecure);
}

TEST(DiscoveryTest, NodesStayWhereTheFileChangesWhileTheDnsIsAway) {
  const testing::TemporaryDirectory dir;
  const std::string path = dir / "nodes.yaml";
  const std::string discover =
      "discover:\n  - {srv: _nfmeter._tcp.example., insecure: true}\n";
  std::ofstream(path) << discover;
  auto file = collector::ReadTargets(path);
  ASSERT_OK(file.status());
  std::optional<DnsServer> server(/*has_records=*/true);
  absl::Mutex mutex;
  std::vector<size_t> told;
  const collector::TargetWatch watch(
      {.path = path, .look_every = absl::Milliseconds(10)}, *std::move(file),
      [&](const std::vector<collector::Target>& targets) {
        absl::MutexLock lock(&mutex);
        told.push_back(targets.size());
      });
  server.reset();
  server.emplace(/*has_records=*/false);
  std::ofstream(path) << discover
                      << "targets: [{name: a, address: \"unix:/a\"}]\n";
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return told.size() >= 2;
  }));
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(told, ::testing::ElementsAre(2, 3));
}

// By the name of the record, which is that in the node's certificate. The other
// record's host does not exist, which does not hold up this one.
TEST(DiscoveryTest, NodesOfSrvRecordsAreCollectedOverMutualTls) {
  const DnsServer dns(/*has_records=*/true);
  testing::Certificates files;
  files.Issue("a", {.alternative_names = "DNS:a.example"});
  files.Issue("collector");
  std::ofstream(files.dir() / "hosts") << "127.0.0.1 localhost a.example\n";
  ASSERT_EQ(mount((files.dir() / "hosts").c_str(), "/etc/hosts", nullptr,
                  MS_BIND, nullptr),
            0);
  std::ofstream(files.dir() / "policy.yaml")
      << "version: 1\nrules: [{principals: ['cn:collector'], role: viewer}]\n";
  testing::NfmeterdProcess node(
      {.arguments = {"--listen", "tcp:127.0.0.1:7878", "--policy",
                     files.dir() / "policy.yaml", "--tls-certificate",
                     files.Certificate("a"), "--tls-key", files.Key("a"),
                     "--tls-client-ca", files.Certificate("ca")}});
  ASSERT_OK(node.WaitUntilReady());
  const std::string targets = files.dir() / "nodes.yaml";
  std::ofstream(targets) << "defaults: {ca: ca.crt, cert: collector.crt, "
                            "key: collector.key}\n"
                            "discover: [{srv: _nfmeter._tcp.example.}]\n";
  const std::string database = files.dir() / "usage.db";
  testing::CollectorProcess collector(
      {"--targets", targets, "--sink", "sqlite:" + database});
  std::string nodes;
  EXPECT_TRUE(testing::Eventually([&] {
    nodes = testing::Run({"sqlite3", "-readonly", database,
                          "SELECT name FROM nodes JOIN cursors USING (node)"})
                .out;
    return !nodes.empty();
  }));
  EXPECT_EQ(nodes, "a.example:7878\n") << collector.Log();
  umount2("/etc/hosts", MNT_DETACH);
}

TEST(DiscoveryTest, ANameWithoutRecordsIsTold) {
  const DnsServer server(/*has_records=*/false);
  const auto targets = Discover(Services());
  EXPECT_EQ(targets.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(targets.status().message()),
              HasSubstr("_nfmeter._tcp.example."));
}

}  // namespace
}  // namespace nfmeter
