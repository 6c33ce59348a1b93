// SPDX-License-Identifier: GPL-3.0-or-later
// The codec beside iptables-legacy: for every condition of RuleMatch, negated
// or not, what iptables makes is read as meant and printed as iptables-save
// prints it, and what the codec makes is, byte for byte, what iptables makes.
#include "kernel/linux/xtables/xt_codec.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/ip_set_socket.h"
#include "kernel/rule_mark.h"
#include "tests/support/status_matchers.h"
#include "tests/system/xt_tables.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::AppendEntries;
using ::nfmeter::testing::IpBytes;
using ::nfmeter::testing::Iptables;
using ::nfmeter::testing::MatchLines;
using ::nfmeter::testing::RawRule;
using ::nfmeter::testing::ReadChain;
using ::nfmeter::testing::SavedRules;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

template <typename T>
Negatable<T> Is(T value) {
  return {std::move(value), false};
}
template <typename T>
Negatable<T> Negated(T value) {
  return {std::move(value), true};
}
Negatable<uint8_t> Proto(int protocol) {
  return {static_cast<uint8_t>(protocol), false};
}
IpPrefix Prefix(absl::string_view text) { return *ParseIpPrefix(text); }
using Ports = std::vector<PortRange>;

// A rule in iptables' words and in ours.
struct Case {
  std::string args;
  RuleMatch match;
  Verdict verdict = Verdict::kContinue;
};

class XtCodecTest : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    ASSERT_EQ(testing::Run({"nfacct", "add", "traffic"}).exit_code, 0);
    ASSERT_OK(Iptables(family_, {"-N", "THEIRS"}));
    ASSERT_OK(Iptables(family_, {"-N", "OURS"}));
  }

  // The program can be run as a whole, too.
  void TearDown() override {
    EXPECT_OK(Iptables(family_, {"-F"}));
    EXPECT_OK(Iptables(family_, {"-X"}));
    EXPECT_EQ(testing::Run({"ipset", "destroy"}).exit_code, 0);
    EXPECT_EQ(testing::Run({"nfacct", "flush"}).exit_code, 0);
  }

  RuleSpec SpecOf(const Case& c, size_t number) const {
    return {.id = absl::StrCat("rule-", number),
            .chain = "OURS",
            .match = c.match,
            .counter = "traffic",
            .verdict = c.verdict};
  }

  // The rule as iptables is asked for it, with our comment and counter.
  std::vector<std::string> ArgsOf(const Case& c, const RuleSpec& spec) const {
    std::vector<std::string> args = {"-A", "THEIRS"};
    std::vector<std::string> own =
        absl::StrSplit(c.args, ' ', absl::SkipEmpty());
    args.insert(args.end(), own.begin(), own.end());
    for (const std::string& arg :
         {std::string("-m"), std::string("comment"), std::string("--comment"),
          RuleMark(spec.id, spec.match.comment), std::string("-m"),
          std::string("nfacct"), std::string("--nfacct-name"), spec.counter}) {
      args.push_back(arg);
    }
    const char* target = c.verdict == Verdict::kAccept   ? "ACCEPT"
                         : c.verdict == Verdict::kDrop   ? "DROP"
                         : c.verdict == Verdict::kReturn ? "RETURN"
                                                         : nullptr;
    if (target != nullptr) args.insert(args.end(), {"-j", target});
    return args;
  }

  static std::string TargetText(const std::string& target) {
    return target.empty() ? "" : absl::StrCat(" -j ", target);
  }

  // Both directions for all cases.
  void Check(const std::vector<Case>& cases) {
    std::vector<std::vector<uint8_t>> ours;
    for (size_t i = 0; i < cases.size(); ++i) {
      const RuleSpec spec = SpecOf(cases[i], i);
      ASSERT_OK(Iptables(family_, ArgsOf(cases[i], spec)));
      auto entry = EncodeEntry(family_, spec, sets_);
      ASSERT_OK(entry) << cases[i].args;
      ours.push_back(*std::move(entry));
    }
    ASSERT_OK(AppendEntries(family_, "filter", "OURS", ours));

    const std::vector<RawRule> made_by_them =
        ReadChain(family_, "filter", "THEIRS");
    const std::vector<RawRule> made_by_us =
        ReadChain(family_, "filter", "OURS");
    const std::vector<std::string> printed =
        SavedRules(family_, "filter", "THEIRS");
    EXPECT_THAT(SavedRules(family_, "filter", "OURS"),
                ElementsAreArray(printed));
    ASSERT_EQ(made_by_them.size(), cases.size());
    ASSERT_EQ(made_by_us.size(), cases.size());
    ASSERT_EQ(printed.size(), cases.size());
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].args);
      const auto decoded = DecodeEntry(family_, made_by_them[i].bytes,
                                       made_by_them[i].target, sets_);
      ASSERT_OK(decoded);
      EXPECT_EQ(decoded->match_text + TargetText(made_by_them[i].target),
                printed[i]);
      EXPECT_TRUE(decoded->match == cases[i].match);
      EXPECT_EQ(decoded->id, absl::StrCat("rule-", i));
      EXPECT_EQ(decoded->counter, "traffic");
      EXPECT_EQ(decoded->verdict, cases[i].verdict);
      EXPECT_THAT(decoded->other_matches, IsEmpty());
      EXPECT_EQ(decoded->target_options, "");
      EXPECT_EQ(IpBytes(family_, made_by_us[i].bytes),
                IpBytes(family_, made_by_them[i].bytes));
      EXPECT_EQ(MatchLines(family_, made_by_us[i].bytes),
                MatchLines(family_, made_by_them[i].bytes));
      EXPECT_EQ(made_by_us[i].target, made_by_them[i].target);
    }
  }

  bool v4() const { return family_ == Family::kIpv4; }

  const Family family_ = GetParam();
  IpSetSocket sets_;
};

INSTANTIATE_TEST_SUITE_P(Families, XtCodecTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(XtCodecTest, AddressesAreWhatIptablesMakes) {
  if (v4()) {
    Check({{"-s 10.0.0.0/8", {.source = Is(Prefix("10.0.0.0/8"))}},
           {"! -s 10.0.0.0/8", {.source = Negated(Prefix("10.0.0.0/8"))}},
           {"-d 192.0.2.1", {.destination = Is(Prefix("192.0.2.1"))}},
           {"! -d 192.0.2.1", {.destination = Negated(Prefix("192.0.2.1"))}},
           {"-s 10.0.0.0/255.0.255.0",
            {.source = Is(Prefix("10.0.0.0/255.0.255.0"))}},
           {"-s 10.1.0.0/16 ! -d 10.2.0.0/16",
            {.source = Is(Prefix("10.1.0.0/16")),
             .destination = Negated(Prefix("10.2.0.0/16"))}},
           {"! -s 0.0.0.0/0", {.source = Negated(Prefix("0.0.0.0/0"))}}});
  } else {
    Check(
        {{"-s 2001:db8::/32", {.source = Is(Prefix("2001:db8::/32"))}},
         {"! -s 2001:db8::/32", {.source = Negated(Prefix("2001:db8::/32"))}},
         {"-d 2001:db8::1", {.destination = Is(Prefix("2001:db8::1"))}},
         {"! -d 2001:db8::1", {.destination = Negated(Prefix("2001:db8::1"))}},
         {"-s ::1/ffff::ffff", {.source = Is(Prefix("::1/ffff::ffff"))}},
         {"-s 2001:db8::10.0.0.1",
          {.source = Is(Prefix("2001:db8::10.0.0.1"))}},
         {"! -d ::/0", {.destination = Negated(Prefix("::/0"))}}});
  }
}

TEST_P(XtCodecTest, InterfacesAreWhatIptablesMakes) {
  using Name = std::string;
  Check({{"-i eth0", {.in_interface = Is(Name("eth0"))}},
         {"! -i eth0", {.in_interface = Negated(Name("eth0"))}},
         {"-o eth+", {.out_interface = Is(Name("eth+"))}},
         {"! -o eth+", {.out_interface = Negated(Name("eth+"))}},
         {"-i a23456789012345", {.in_interface = Is(Name("a23456789012345"))}},
         {"-i a2345678901234+", {.in_interface = Is(Name("a2345678901234+"))}},
         {"! -i e -o lo",
          {.in_interface = Negated(Name("e")),
           .out_interface = Is(Name("lo"))}}});
}

TEST_P(XtCodecTest, ProtocolsAreWhatIptablesMakes) {
  std::vector<Case> cases;
  for (int protocol = 1; protocol < 256; protocol += 1) {
    // Every name that anybody may know, and some without one.
    cases.push_back(
        {absl::StrCat("-p ", protocol), {.protocol = Proto(protocol)}});
  }
  cases.push_back({"! -p tcp", {.protocol = Negated(uint8_t{6})}});
  cases.push_back({"! -p 253", {.protocol = Negated(uint8_t{253})}});
  Check(cases);
}

TEST_P(XtCodecTest, VerdictsAndCommentsAreWhatIptablesMakes) {
  Check({{"", {}},
         {"", {}, Verdict::kAccept},
         {"", {}, Verdict::kDrop},
         {"", {}, Verdict::kReturn},
         {"", {.comment = "web"}},
         {"", {.comment = "it's \"quoted\" \\ twice  "}},
         {"", {.comment = "naïve → ünï"}},
         {"", {.comment = std::string(200, 'x')}, Verdict::kAccept}});
}

TEST_P(XtCodecTest, PortsAreWhatIptablesMakes) {
  std::vector<Case> cases;
  for (const auto& [name, number] : std::vector<std::pair<std::string, int>>{
           {"tcp", 6}, {"udp", 17}, {"sctp", 132}, {"dccp", 33}}) {
    const std::string p = absl::StrCat("-p ", name, " -m ", name);
    const auto protocol = Proto(number);
    cases.push_back(
        {p + " --sport 80",
         {.protocol = protocol, .source_ports = Is(Ports{{80, 80}})}});
    cases.push_back(
        {p + " ! --sport 80",
         {.protocol = protocol, .source_ports = Negated(Ports{{80, 80}})}});
    cases.push_back(
        {p + " --dport 1:65535",
         {.protocol = protocol, .destination_ports = Is(Ports{{1, 65535}})}});
    cases.push_back(
        {p + " ! --dport 0:79",
         {.protocol = protocol, .destination_ports = Negated(Ports{{0, 79}})}});
    cases.push_back({p + " --sport 1:2 ! --dport 65535",
                     {.protocol = protocol,
                      .source_ports = Is(Ports{{1, 2}}),
                      .destination_ports = Negated(Ports{{65535, 65535}})}});
    cases.push_back({p + " --sport 9 -m multiport --dports 1,2,5:7",
                     {.protocol = protocol,
                      .source_ports = Is(Ports{{9, 9}}),
                      .destination_ports = Is(Ports{{1, 1}, {2, 2}, {5, 7}})}});
  }
  Check(cases);
}

TEST_P(XtCodecTest, PortListsAreWhatIptablesMakes) {
  Ports fifteen;
  for (uint16_t port = 1; port <= 15; ++port) fifteen.push_back({port, port});
  Check({{"-p tcp -m multiport --sports 1,2",
          {.protocol = Proto(6), .source_ports = Is(Ports{{1, 1}, {2, 2}})}},
         {"-p tcp -m multiport ! --sports 1,2 -m multiport --dports 3,4:5",
          {.protocol = Proto(6),
           .source_ports = Negated(Ports{{1, 1}, {2, 2}}),
           .destination_ports = Is(Ports{{3, 3}, {4, 5}})}},
         {"-p udp -m multiport --sports 1,2 -m multiport ! --dports 3,4",
          {.protocol = Proto(17),
           .source_ports = Is(Ports{{1, 1}, {2, 2}}),
           .destination_ports = Negated(Ports{{3, 3}, {4, 4}})}},
         {"-p udplite -m multiport --dports 4",
          {.protocol = Proto(136), .destination_ports = Is(Ports{{4, 4}})}},
         {"-p tcp -m multiport --dports 0:65535",
          {.protocol = Proto(6), .destination_ports = Is(Ports{{0, 65535}})}},
         {"-p sctp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
          {.protocol = Proto(132), .destination_ports = Is(fifteen)}}});
}

TEST_P(XtCodecTest, TcpFlagsAreWhatIptablesMakes) {
  const auto tcp = Proto(6);
  Check({{"-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
          {.protocol = tcp, .tcp_flags = Is(TcpFlags{0x17, 0x02})}},
         {"-p tcp -m tcp ! --tcp-flags FIN,SYN SYN",
          {.protocol = tcp, .tcp_flags = Negated(TcpFlags{0x03, 0x02})}},
         {"-p tcp -m tcp --tcp-flags ALL NONE",
          {.protocol = tcp, .tcp_flags = Is(TcpFlags{0x3f, 0})}},
         {"-p tcp -m tcp --sport 5 --tcp-flags PSH,URG ALL",
          {.protocol = tcp,
           .source_ports = Is(Ports{{5, 5}}),
           .tcp_flags = Is(TcpFlags{0x28, 0x3f})}},
         {"-p tcp -m tcp --tcp-flags SYN SYN -m multiport --dports 1,2",
          {.protocol = tcp,
           .destination_ports = Is(Ports{{1, 1}, {2, 2}}),
           .tcp_flags = Is(TcpFlags{0x02, 0x02})}}});
}

TEST_P(XtCodecTest, IcmpIsWhatIptablesMakes) {
  const std::string p = v4() ? "-p icmp -m icmp" : "-p icmpv6 -m icmp6";
  const std::string type = v4() ? " --icmp-type " : " --icmpv6-type ";
  const auto protocol = Proto(v4() ? 1 : 58);
  Check({{p + type + "3", {.protocol = protocol, .icmp = Is(Icmp{3, {}})}},
         {p + " !" + type + "3",
          {.protocol = protocol, .icmp = Negated(Icmp{3, {}})}},
         {p + type + "3/4", {.protocol = protocol, .icmp = Is(Icmp{3, 4})}},
         {p + type + "128/0", {.protocol = protocol, .icmp = Is(Icmp{128, 0})}},
         {p + " !" + type + "128/255",
          {.protocol = protocol, .icmp = Negated(Icmp{128, 255})}}});
}

TEST_P(XtCodecTest, PropertiesOfThePacketAreWhatIptablesMakes) {
  using Bits = uint16_t;
  Check({{"-m mark --mark 0x1", {.mark = Is(Mark{1})}},
         {"-m mark ! --mark 0x1/0x3", {.mark = Negated(Mark{1, 3})}},
         {"-m mark --mark 0/0xffffffff", {.mark = Is(Mark{0})}},
         {"-m mark --mark 0/0", {.mark = Is(Mark{0, 0})}},
         {"-m dscp --dscp 46", {.dscp = Is(uint8_t{46})}},
         {"-m dscp ! --dscp 0", {.dscp = Negated(uint8_t{0})}},
         {"-m pkttype --pkt-type unicast",
          {.packet_type = Is(PacketType::kUnicast)}},
         {"-m pkttype ! --pkt-type broadcast",
          {.packet_type = Negated(PacketType::kBroadcast)}},
         {"-m pkttype --pkt-type multicast",
          {.packet_type = Is(PacketType::kMulticast)}},
         {"-m addrtype --src-type LOCAL",
          {.source_address_types = Is(Bits{kAddrLocal})}},
         {"-m addrtype ! --src-type LOCAL,ANYCAST --dst-type MULTICAST",
          {.source_address_types = Negated(Bits{kAddrLocal | kAddrAnycast}),
           .destination_address_types = Is(Bits{kAddrMulticast})}},
         {"-m addrtype ! --dst-type ANYCAST",
          {.destination_address_types = Negated(Bits{kAddrAnycast})}},
         {"-m mark --mark 5 -m dscp --dscp 1 -m pkttype --pkt-type unicast",
          {.mark = Is(Mark{5}),
           .dscp = Is(uint8_t{1}),
           .packet_type = Is(PacketType::kUnicast)}}});
}

TEST_P(XtCodecTest, AllAddressTypesAreWhatIptablesMakes) {
  if (v4()) {
    Check(
        {{"-m addrtype --dst-type UNSPEC,UNICAST,LOCAL,BROADCAST,ANYCAST,"
          "MULTICAST,BLACKHOLE,UNREACHABLE,PROHIBIT",
          {.destination_address_types = Is(uint16_t{0x1ff})}}});
    return;
  }
  // The kernel knows fewer of IPv6, and can't ask for any of all.
  const uint16_t of_routes = kAddrLocal | kAddrAnycast | kAddrUnreachable;
  Check({{"-m addrtype --dst-type LOCAL,ANYCAST,UNREACHABLE",
          {.destination_address_types = Is(of_routes)}},
         {"-m addrtype --dst-type UNSPEC",
          {.destination_address_types = Is(uint16_t{kAddrUnspec})}},
         {"-m addrtype --dst-type UNICAST",
          {.destination_address_types = Is(uint16_t{kAddrUnicast})}},
         {"-m addrtype --dst-type MULTICAST",
          {.destination_address_types = Is(uint16_t{kAddrMulticast})}}});
}

TEST_P(XtCodecTest, ConnectionStatesAreWhatIptablesMakes) {
  Check({{"-m conntrack --ctstate NEW,ESTABLISHED",
          {.conntrack_states = Is(uint32_t{kCtNew | kCtEstablished})}},
         {"-m conntrack ! --ctstate RELATED,INVALID,UNTRACKED",
          {.conntrack_states =
               Negated(uint32_t{kCtRelated | kCtInvalid | kCtUntracked})}},
         {"-m conntrack --ctstate SNAT",
          {.conntrack_states = Is(uint32_t{kCtSnat})}},
         {"-m conntrack ! --ctstate DNAT",
          {.conntrack_states = Negated(uint32_t{kCtDnat})}},
         {"-p tcp -m conntrack --ctstate "
          "INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED,SNAT,DNAT",
          {.protocol = Proto(6), .conntrack_states = Is(uint32_t{0x7f})}}});
}

TEST_P(XtCodecTest, OwnersAreWhatIptablesMakes) {
  Check({{"-m owner --uid-owner 1000", {.owner_uid = Is(IdRange{1000, 1000})}},
         {"-m owner ! --uid-owner 0", {.owner_uid = Negated(IdRange{0, 0})}},
         {"-m owner --gid-owner 5-7", {.owner_gid = Is(IdRange{5, 7})}},
         {"-m owner ! --gid-owner 5-7", {.owner_gid = Negated(IdRange{5, 7})}},
         {"-m owner --uid-owner 1-4294967294 ! --gid-owner 0",
          {.owner_uid = Is(IdRange{1, 4294967294}),
           .owner_gid = Negated(IdRange{0, 0})}}});
}

TEST_P(XtCodecTest, SetsAreWhatIptablesMakes) {
  const std::string inet = v4() ? "inet" : "inet6";
  ASSERT_EQ(
      testing::Run({"ipset", "create", "hosts", "hash:ip", "family", inet})
          .exit_code,
      0);
  ASSERT_EQ(testing::Run({"ipset", "create", "web.servers", "hash:ip,port,net",
                          "family", inet})
                .exit_code,
            0);
  const auto source = IpSetDirection::kSource;
  const auto destination = IpSetDirection::kDestination;
  Check({{"-m set --match-set hosts src",
          {.ip_set = Is(IpSet{"hosts", {source}})}},
         {"-m set ! --match-set hosts dst",
          {.ip_set = Negated(IpSet{"hosts", {destination}})}},
         {"-m set --match-set web.servers dst,src,dst",
          {.ip_set =
               Is(IpSet{"web.servers", {destination, source, destination}})}}});
}

// A cgroup v2 folder to name in rules; removed at the end.
class Cgroup {
 public:
  Cgroup() {
    for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      if (access(absl::StrCat(root, "/cgroup.controllers").c_str(), F_OK) !=
          0) {
        continue;
      }
      const std::string name = absl::StrCat("nfmeter test-", getpid());
      path_ = absl::StrCat(root, "/", name);
      if (mkdir(path_.c_str(), 0755) == 0) name_ = "/" + name;
    }
  }
  ~Cgroup() {
    if (!name_.empty()) rmdir(path_.c_str());
  }
  const std::string& name() const { return name_; }

 private:
  std::string path_;
  std::string name_;
};

TEST_P(XtCodecTest, CgroupsAreWhatIptablesMakes) {
  const Case root = {"-m cgroup --path /",
                     {.cgroup_path = Is(std::string("/"))}};
  const Case not_root = {"-m cgroup ! --path /",
                         {.cgroup_path = Negated(std::string("/"))}};
  if (!Iptables(family_, {"-A", "THEIRS", "-m", "cgroup", "--path", "/"})
           .ok()) {
    GTEST_SKIP() << "no cgroup v2 in this kernel";
  }
  ASSERT_OK(Iptables(family_, {"-F", "THEIRS"}));
  Check({root, not_root});
  ASSERT_OK(Iptables(family_, {"-F", "THEIRS"}));
  ASSERT_OK(Iptables(family_, {"-F", "OURS"}));
  const Cgroup cgroup;
  if (cgroup.name().empty()) {
    GTEST_SKIP() << "no cgroup can be made here (only \"/\" was tested)";
  }
  const RuleSpec spec = {.id = "a",
                         .chain = "OURS",
                         .match = {.cgroup_path = Negated(cgroup.name())},
                         .counter = "traffic"};
  const auto entry = EncodeEntry(family_, spec, sets_);
  ASSERT_OK(entry);
  ASSERT_OK(AppendEntries(family_, "filter", "OURS", {*entry}));
  const std::vector<RawRule> rules = ReadChain(family_, "filter", "OURS");
  ASSERT_EQ(rules.size(), 1u);
  const auto decoded =
      DecodeEntry(family_, rules[0].bytes, rules[0].target, sets_);
  ASSERT_OK(decoded);
  EXPECT_TRUE(decoded->match == spec.match);
  EXPECT_EQ(decoded->match_text, SavedRules(family_, "filter", "OURS")[0]);
}

TEST_P(XtCodecTest, AllConditionsAtOnceAreWhatIptablesMakes) {
  const std::string inet = v4() ? "inet" : "inet6";
  ASSERT_EQ(
      testing::Run({"ipset", "create", "hosts", "hash:ip", "family", inet})
          .exit_code,
      0);
  const std::string net = v4() ? "10.0.0.0/8" : "2001:db8::/32";
  const std::string host = v4() ? "10.0.0.1" : "2001:db8::1";
  Check(
      {{absl::StrCat(
            "-s ", net, " ! -d ", host,
            " -i eth0 ! -o lo -p tcp -m tcp --sport 80 --tcp-flags SYN,ACK SYN "
            "-m multiport ! --dports 1,2 -m mark --mark 0x1/0x3 "
            "-m dscp ! --dscp 3 -m pkttype --pkt-type unicast "
            "-m addrtype --src-type LOCAL ! --dst-type LOCAL "
            "-m conntrack --ctstate NEW -m owner --uid-owner 5 "
            "--gid-owner 6-7 -m set --match-set hosts src"),
        {.protocol = Proto(6),
         .source = Is(Prefix(net)),
         .destination = Negated(Prefix(host)),
         .in_interface = Is(std::string("eth0")),
         .out_interface = Negated(std::string("lo")),
         .source_ports = Is(Ports{{80, 80}}),
         .destination_ports = Negated(Ports{{1, 1}, {2, 2}}),
         .conntrack_states = Is(uint32_t{kCtNew}),
         .mark = Is(Mark{1, 3}),
         .owner_uid = Is(IdRange{5, 5}),
         .owner_gid = Is(IdRange{6, 7}),
         .ip_set = Is(IpSet{"hosts", {IpSetDirection::kSource}}),
         .dscp = Negated(uint8_t{3}),
         .packet_type = Is(PacketType::kUnicast),
         .source_address_types = Is(uint16_t{kAddrLocal}),
         .destination_address_types = Negated(uint16_t{kAddrLocal}),
         .tcp_flags = Is(TcpFlags{0x12, 0x02}),
         .comment = "the lot"},
        Verdict::kAccept}});
}

}  // namespace
}  // namespace nfmeter::kernel
