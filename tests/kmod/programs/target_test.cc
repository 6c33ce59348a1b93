// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that count by the NFACCT target beside those that iptables makes with
// the same extension (kmod/): byte for byte, line for line, packet for packet.
// A kernel without nfmeter's own modules skips all of it; the machines of
// tests/kmod have them.
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/ip_set_socket.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/linux/xtables/xt_probe.h"
#include "kernel/rule_mark.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/system/xt_tables.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::AppendEntries;
using ::nfmeter::testing::Iptables;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::RawRule;
using ::nfmeter::testing::ReadChain;
using ::nfmeter::testing::SavedRules;
using ::nfmeter::testing::SendUdp;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// As long as they get, and with what iptables-save quotes.
const std::vector<std::string>& Counters() {
  static const auto& names = *new std::vector<std::string>{
      "traffic", std::string(31, 'n'), "a.b:c/d@e+f-g", "with \"quotes\""};
  return names;
}

class XtTargetTest : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    if (!ProbeTargetRevision(family_, kAcctTarget, 0).ok()) {
      GTEST_SKIP() << "this kernel has no NFACCT target";
    }
    for (const std::string& name : Counters()) {
      const std::vector<AcctObject> objects = {{.name = name}};
      ASSERT_OK(acct_->Create(objects)[0]);
    }
    ASSERT_OK(Iptables(family_, {"-N", "THEIRS"}));
    ASSERT_OK(Iptables(family_, {"-N", "OURS"}));
  }

  RuleSpec SpecFor(const std::string& counter) const {
    return {.id = "rule-1",
            .chain = "OURS",
            .match = {.comment = "mine"},
            .counter = counter,
            .form = CountingForm::kTarget};
  }

  // The target's name, revision and the bytes of its struct. What follows the
  // NUL of its name is left over from libiptc's buffer.
  static std::string TargetLine(Family family, const RawRule& rule) {
    const uint8_t* bytes = rule.bytes.data();
    const size_t offset =
        family == Family::kIpv4
            ? reinterpret_cast<const ipt_entry*>(bytes)->target_offset
            : reinterpret_cast<const ip6t_entry*>(bytes)->target_offset;
    const auto* target =
        reinterpret_cast<const xt_entry_target*>(bytes + offset);
    return absl::StrCat(target->u.user.name, " rev ", target->u.user.revision,
                        ": ",
                        absl::BytesToHexString(absl::string_view(
                            reinterpret_cast<const char*>(target->data),
                            target->u.target_size - sizeof(*target))));
  }

  const Family family_ = GetParam();
  const std::unique_ptr<NetlinkAcctTable> acct_ =
      NetlinkAcctTable::Open().value();
  IpSetSocket sets_;
};

INSTANTIATE_TEST_SUITE_P(Families, XtTargetTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(XtTargetTest, RulesAreWhatIptablesMakes) {
  std::vector<std::vector<uint8_t>> ours;
  for (const std::string& counter : Counters()) {
    ASSERT_OK(Iptables(family_, {"-A", "THEIRS", "-m", "comment", "--comment",
                                 RuleMark("rule-1", "mine"), "-j", "NFACCT",
                                 "--nfacct-name", counter}));
    auto entry = EncodeEntry(family_, SpecFor(counter), sets_);
    ASSERT_OK(entry);
    ours.push_back(*std::move(entry));
  }
  ASSERT_OK(AppendEntries(family_, "filter", "OURS", ours));
  const std::vector<RawRule> made_by_them =
      ReadChain(family_, "filter", "THEIRS");
  const std::vector<RawRule> made_by_us = ReadChain(family_, "filter", "OURS");
  const std::vector<std::string> printed =
      SavedRules(family_, "filter", "THEIRS");
  EXPECT_THAT(SavedRules(family_, "filter", "OURS"), ElementsAreArray(printed));
  ASSERT_THAT(made_by_them, SizeIs(Counters().size()));
  ASSERT_THAT(made_by_us, SizeIs(Counters().size()));
  for (size_t i = 0; i < Counters().size(); ++i) {
    SCOPED_TRACE(Counters()[i]);
    EXPECT_EQ(TargetLine(family_, made_by_us[i]),
              TargetLine(family_, made_by_them[i]));
    EXPECT_EQ(made_by_us[i].bytes.size(), made_by_them[i].bytes.size());
    EXPECT_EQ(made_by_us[i].target, made_by_them[i].target);
    const auto decoded = DecodeEntry(family_, made_by_them[i].bytes,
                                     made_by_them[i].target, sets_);
    ASSERT_OK(decoded);
    EXPECT_EQ(decoded->counter, Counters()[i]);
    EXPECT_EQ(decoded->form, CountingForm::kTarget);
    EXPECT_EQ(decoded->verdict, Verdict::kContinue);
    EXPECT_EQ(decoded->match_text + " -j NFACCT" + decoded->target_options,
              printed[i]);
  }
}

TEST_P(XtTargetTest, PacketsAreCountedExactlyAndGoOn) {
  if (family_ == Family::kIpv6) GTEST_SKIP() << "the sender speaks IPv4";
  const auto acct = *NetlinkAcctTable::Open();
  IptcRuleTable rules(*acct);
  RuleSpec target = SpecFor("traffic");
  target.chain = "OUTPUT";
  RuleSpec match = target;
  match.id = "rule-2";
  match.form = CountingForm::kMatch;
  for (RuleSpec* spec : {&target, &match}) {
    spec->match.protocol = {IPPROTO_UDP};
    spec->match.destination_ports = {{{20000, 20000}}};
  }
  const absl::Duration soon = SystemClock().BootTime() + absl::Seconds(60);
  ASSERT_OK(rules.Edit({.insertions = {target, match}}, soon));
  SendUdp(20000, 40);
  const auto read = rules.Read(family_, Table::kFilter);
  ASSERT_OK(read);
  for (const Chain& chain : read->chains) {
    for (const Rule& rule : chain.rules) {
      EXPECT_EQ(rule.packets, 40u) << rule.text;
      EXPECT_EQ(rule.bytes, 40u * kUdpPacketBytes) << rule.text;
    }
  }
  const auto counter = acct_->Get("traffic");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets, 80u);
  EXPECT_EQ(counter->bytes, 80u * kUdpPacketBytes);
  const auto deleted = rules.Edit({.deletions = {"rule-1", "rule-2"}}, soon);
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->deleted, Not(IsEmpty()));
  EXPECT_EQ(acct_->Get("traffic")->use_count, 0u);
}

}  // namespace
}  // namespace nfmeter::kernel
