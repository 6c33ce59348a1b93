// SPDX-License-Identifier: GPL-3.0-or-later
// The recipes of docs/plans.md, as they stand there, by the command and the
// server on the real kernel.
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/support/eventually.h"
#include "tests/support/flow_traffic.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/flow_network.h"
#include "tests/system/nfmeterd_process.h"
#include "tests/system/service_cgroup.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Do;
using ::nfmeter::testing::FlowNetwork;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::TemporaryDirectory;
using ::nfmeter::testing::UdpEnd;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

// The first block of YAML below a heading of docs/plans.md.
std::string Recipe(const std::string& heading) {
  const std::string text =
      testing::ReadFile(NFMETER_SOURCE_ROOT "/docs/plans.md");
  const size_t section = text.find("\n### " + heading + "\n");
  EXPECT_NE(section, std::string::npos) << "no recipe '" << heading << "'";
  if (section == std::string::npos) return "";
  const std::string kBegin = "\n```yaml\n";
  const size_t begin = text.find(kBegin, section) + kBegin.size();
  return text.substr(begin, text.find("\n```", begin) + 1 - begin);
}

// A router, with customers left of it at the recipes' addresses.
class PlanRecipesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* address : {"192.0.2.7", "192.0.2.8", "198.51.100.9"}) {
      Do(absl::StrCat("ip -n client addr add ", address, "/32 dev eth0"));
      Do(absl::StrCat("ip route add ", address, "/32 via 10.0.1.2"));
    }
    Do("ip -n client addr add 2001:db8:8::5/128 dev eth0 nodad");
    Do("ip -6 route add 2001:db8:8::/64 via fd01::2");
    Start();
  }
  // At the same socket in each life, as that names the caller.
  void Start(std::vector<std::string> wrapper = {}) {
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = {"--listen", target_},
                                 .wrapper = std::move(wrapper),
                                 .listen_on_socket = false,
                                 .state_dir = dir_ / "state"});
    ASSERT_OK(server_->WaitUntilReady());
  }

  RunResult Nfmeter(std::vector<std::string> words,
                    const std::string& input = "") {
    words.insert(words.begin(), {NFMETER_PROGRAM, "--server", target_});
    return testing::Run(words, input);
  }
  void Apply(const std::string& heading) { ApplyText(Recipe(heading)); }
  void ApplyText(const std::string& plan) {
    const RunResult applied = Nfmeter({"apply", "-f", "-"}, plan);
    EXPECT_EQ(applied.exit_code, 0) << applied.err << plan;
  }
  // Packets of each counter that has counted any.
  std::map<std::string, int> Counted() {
    const RunResult list = Nfmeter({"counter", "list", "-o", "csv"});
    EXPECT_EQ(list.exit_code, 0) << list.err;
    std::map<std::string, int> counted;
    for (const absl::string_view line :
         absl::StrSplit(list.out, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> cells = absl::StrSplit(line, ',');
      int packets = 0;
      if (absl::SimpleAtoi(cells[1], &packets) && packets > 0) {
        counted[cells[0]] = packets;
      }
    }
    return counted;
  }

  // UDP from one address to another; somebody listens there, so that no errors
  // go back.
  void Send(const std::string& from_host, const std::string& from,
            const std::string& to_host, const std::string& to, int packets,
            uint16_t port = 4000) {
    std::unique_ptr<UdpEnd> sink;
    On(to_host, [&] { sink = std::make_unique<UdpEnd>(to, port); });
    On(from_host, [&] { UdpEnd(from).SendTo(to, port, packets, 10); });
  }
  void Up(const std::string& customer, int packets) {
    const bool v6 = customer.find(':') != std::string::npos;
    Send("client", customer, "server", v6 ? "fd02::2" : "10.0.2.2", packets);
  }
  void Down(const std::string& customer, int packets) {
    const bool v6 = customer.find(':') != std::string::npos;
    Send("server", v6 ? "fd02::2" : "10.0.2.2", "client", customer, packets);
  }
  // "": this host, the router.
  template <typename Action>
  void On(const std::string& host, Action action) {
    if (host.empty()) {
      action();
    } else {
      network_.In(host, action);
    }
  }

  FlowNetwork network_;
  TemporaryDirectory dir_;
  const std::string target_ = "unix:" + (dir_ / "nfmeter.sock");
  std::unique_ptr<NfmeterdProcess> server_;
};

TEST_F(PlanRecipesTest, PerCustomerAddressUpAndDown) {
  Apply("Per customer address, up and down");
  Up("192.0.2.7", 3);
  Down("192.0.2.7", 5);
  Down("192.0.2.8", 7);
  EXPECT_THAT(Counted(),
              UnorderedElementsAre(Pair("c7-up", 3), Pair("c7-down", 5),
                                   Pair("c8-down", 7)));
}

TEST_F(PlanRecipesTest, PerTenantPrefix) {
  Apply("Per tenant prefix");
  Up("192.0.2.7", 3);
  Down("192.0.2.8", 4);
  Down("198.51.100.9", 5);
  EXPECT_THAT(Counted(),
              UnorderedElementsAre(Pair("tenant-a", 7), Pair("tenant-b", 5),
                                   Pair("tenant-a-mail", 3)));
  EXPECT_THAT(
      Nfmeter({"counter", "list", "--label", "site=berlin", "-o", "name"}).out,
      AllOf(HasSubstr("tenant-a\n"), HasSubstr("tenant-b\n")));
}

TEST_F(PlanRecipesTest, PerServicePort) {
  Apply("Per service port");
  Send("client", "10.0.1.2", "", "10.0.1.1", 3, 53);
  Send("client", "10.0.1.2", "", "10.0.1.1", 4, 8080);
  Send("client", "10.0.1.2", "", "10.0.1.1", 9, 9000);
  // An answer.
  std::unique_ptr<UdpEnd> sink;
  On("client", [&] { sink = std::make_unique<UdpEnd>("10.0.1.2", 4001); });
  UdpEnd("10.0.1.1", 53).SendTo("10.0.1.2", 4001, 2, 10);
  EXPECT_THAT(Counted(),
              UnorderedElementsAre(Pair("dns-in", 3), Pair("apps-in", 4),
                                   Pair("dns-out", 2)));
}

TEST_F(PlanRecipesTest, PerSystemdUnit) {
  testing::ServiceCgroup service;
  const std::string recipe = Recipe("Per systemd unit");
  ASSERT_THAT(recipe, HasSubstr("web.service"));
  // This host may have one of that name.
  ApplyText(absl::StrReplaceAll(recipe, {{"web.service", service.unit()}}));
  service.Send(3);
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("web-sent", 3)));
}

// Packets of the recipes' customers that have passed through this router.
int Passed() {
  int packets = 0;
  for (const absl::string_view line : absl::StrSplit(
           Do("iptables-legacy -w -t mangle -nvxL POSTROUTING"), '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (absl::StrContains(line, "passed")) {
      EXPECT_TRUE(absl::SimpleAtoi(words[0], &packets));
    }
  }
  return packets;
}

TEST_F(PlanRecipesTest, CapAndTellAt80Percent) {
  Do("iptables-legacy -w -t mangle -A POSTROUTING -s 198.51.100.0/24 "
     "-m comment --comment passed");
  Apply("Cap and tell at 80 %");
  const std::string events = dir_ / "events";
  testing::Background watch({NFMETER_PROGRAM, "--server", target_, "quota",
                             "watch", "--count", "2", "-o", "json"},
                            events);
  const auto told = [&] { return testing::ReadFile(events); };
  const auto await = [&](const std::string& what) {
    EXPECT_TRUE(testing::Eventually([&] {
      return absl::StrContains(told(), what);
    })) << what
        << " in " << told();
  };
  await("SYNCED");
  // 1,000 bytes each, with their headers.
  const auto send = [&](int packets) {
    On("client",
       [&] { UdpEnd("198.51.100.9").SendTo("10.0.2.2", 4000, packets, 972); });
  };
  send(8'001);
  await("THRESHOLD");
  EXPECT_THAT(told(), HasSubstr("80"));
  EXPECT_EQ(Passed(), 8'001);
  send(3'000);
  EXPECT_EQ(watch.Wait(absl::Seconds(30)), 0);
  EXPECT_THAT(told(), HasSubstr("CROSSED"));
  // The packet that reaches the limit is the last one that passes.
  EXPECT_NEAR(Passed(), 10'000, 1);

  // More for the same month, as the recipe says.
  ApplyText(
      absl::StrReplaceAll(Recipe("Cap and tell at 80 %"), {{"10MB", "20MB"}}));
  const int passed = Passed();
  send(100);
  EXPECT_EQ(Passed(), passed + 100);
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("guests-up", 11'101)));
}

TEST_F(PlanRecipesTest, MonthlyQuota) {
  Apply("Monthly quota");
  Down("192.0.2.7", 3);
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("c7-month", 3)));
  EXPECT_EQ(server_->Stop(), 0);
  // Next month, a second after the start.
  Start({"env", "LD_PRELOAD=" CLOCK_STEP_LIBRARY, "CLOCK_STEP=2764800"});
  Down("192.0.2.8", 2);
  EXPECT_TRUE(
      testing::Eventually([&] { return !Counted().contains("c7-month"); }));
  Down("192.0.2.7", 4);
  EXPECT_THAT(Counted(), Contains(Pair("c7-month", 4)));
  const RunResult counter = Nfmeter(
      {"counter", "get", "c7-month", "-o", "custom-columns=T:.totalPackets"});
  EXPECT_THAT(counter.out, HasSubstr("7"));
}

TEST_F(PlanRecipesTest, PerUser) {
  Apply("Per user");
  const auto send_as = [](const std::string& user) {
    const RunResult sent = testing::Run(
        {"setpriv", "--reuid=" + user, "--clear-groups", "bash", "-c",
         "for i in 1 2 3; do echo > /dev/udp/10.0.1.2/4000; done"});
    EXPECT_EQ(sent.exit_code, 0) << sent.err;
  };
  std::unique_ptr<UdpEnd> sink;
  On("client", [&] { sink = std::make_unique<UdpEnd>("10.0.1.2", 4000); });
  send_as("1001");
  send_as("2001");
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("staff-sent", 3)));
  send_as("0");
  EXPECT_THAT(Counted(), Contains(Pair("root-sent", 3)));
}

TEST_F(PlanRecipesTest, BothFamiliesInOneCounter) {
  Apply("Both families in one counter");
  Down("192.0.2.8", 3);
  Down("2001:db8:8::5", 4);
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("c8", 7)));
}

TEST_F(PlanRecipesTest, MoveAnAccountingChainToNfmeter) {
  Do("nfacct add c7-down");
  const std::string rule =
      " FORWARD -d 192.0.2.7 -m nfacct --nfacct-name c7-down";
  Do("iptables-legacy -w -A" + rule);
  Down("192.0.2.7", 3);
  const RunResult exported = Nfmeter({"export", "--name", "moved"});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const RunResult applied = Nfmeter({"apply", "-f", "-"}, exported.out);
  ASSERT_EQ(applied.exit_code, 0) << applied.err << exported.out;
  Do("iptables-legacy -w -D" + rule);
  Down("192.0.2.7", 4);
  EXPECT_THAT(Counted(), UnorderedElementsAre(Pair("c7-down", 7)));
}

TEST_F(PlanRecipesTest, CleanUp) {
  const auto saved = [] {
    std::vector<std::string> lines;
    for (const char* tool : {"iptables-legacy-save", "ip6tables-legacy-save"}) {
      for (const absl::string_view line :
           absl::StrSplit(testing::Run({tool}).out, '\n')) {
        if (absl::StartsWith(line, "-A") || absl::StartsWith(line, ":NFM")) {
          lines.emplace_back(line);
        }
      }
    }
    return lines;
  };
  Do("nfacct add theirs");
  Do("iptables-legacy -w -A FORWARD -m nfacct --nfacct-name theirs");
  std::vector<std::string> expected = saved();
  Apply("Per customer address, up and down");
  Apply("Both families in one counter");
  ASSERT_EQ(
      Nfmeter({"counter", "create", "mine", "shared", "unused"}).exit_code, 0);
  ASSERT_EQ(Nfmeter({"rule", "add", "--counter", "mine", "--chain", "INPUT"})
                .exit_code,
            0);
  Do("iptables-legacy -w -A FORWARD -m nfacct --nfacct-name shared");
  // Of a plan whose server has lost its state.
  Do("iptables-legacy -w -N NFM-00000000-in");
  Do("iptables-legacy -w -A INPUT -j NFM-00000000-in");

  const std::vector<std::string> all = saved();
  const RunResult dry = Nfmeter({"cleanup", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("customers"), HasSubstr("dual-stack"),
                             HasSubstr("NFM-00000000-in"), HasSubstr("mine"),
                             HasSubstr("would remove 2 plans"),
                             HasSubstr("shared, used by -A FORWARD"),
                             Not(HasSubstr("theirs"))));
  EXPECT_EQ(saved(), all);

  const RunResult clean = Nfmeter({"cleanup"});
  EXPECT_EQ(clean.exit_code, 0) << clean.err;
  expected.emplace_back("-A FORWARD -m nfacct --nfacct-name  shared");
  EXPECT_THAT(saved(), UnorderedElementsAreArray(expected)) << clean.out;
  EXPECT_EQ(Nfmeter({"counter", "list", "-o", "name"}).out, "shared\ntheirs\n");
  EXPECT_THAT(Nfmeter({"plan", "list", "-o", "name"}).out, IsEmpty());
  EXPECT_THAT(Nfmeter({"cleanup"}).out, HasSubstr("nothing to remove"));
}

}  // namespace
}  // namespace nfmeter
