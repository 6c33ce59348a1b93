// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_rule_text.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernel/ip_prefix.h"
#include "kernel/rule_mark.h"

namespace nfmeter::kernel {
namespace {

// One option: " ! -s 10.0.0.0/8".
template <typename T, typename Format>
void Option(std::string& text, const std::optional<Negatable<T>>& condition,
            absl::string_view option, Format format) {
  if (!condition.has_value()) return;
  absl::StrAppend(&text, condition->negated ? " ! " : " ", option, " ",
                  format(condition->value));
}

std::string Ports(const std::vector<PortRange>& ranges) {
  return absl::StrJoin(ranges, ",",
                       [](std::string* out, const PortRange& range) {
                         absl::StrAppend(out, range.first);
                         if (range.last != range.first)
                           absl::StrAppend(out, ":", range.last);
                       });
}

std::string Ids(const IdRange& range) {
  return range.first == range.last ? absl::StrCat(range.first)
                                   : absl::StrCat(range.first, "-", range.last);
}

std::string Set(const IpSet& set) {
  return absl::StrCat(
      set.name, " ",
      absl::StrJoin(
          set.directions, ",", [](std::string* out, IpSetDirection direction) {
            out->append(direction == IpSetDirection::kSource ? "src" : "dst");
          }));
}

std::string MatchText(const RuleMatch& match) {
  const auto plain = [](const auto& value) { return absl::StrCat(value); };
  const auto mark = [](const Mark& m) {
    return absl::StrCat("0x", absl::Hex(m.value), "/0x", absl::Hex(m.mask));
  };
  const auto icmp = [](const Icmp& i) {
    return i.code.has_value() ? absl::StrCat(i.type, "/", *i.code)
                              : absl::StrCat(i.type);
  };
  std::string text;
  Option(text, match.source, "-s", FormatIpPrefix);
  Option(text, match.destination, "-d", FormatIpPrefix);
  Option(text, match.in_interface, "-i", plain);
  Option(text, match.out_interface, "-o", plain);
  Option(text, match.protocol, "-p", [](uint8_t number) -> std::string {
    return number == 6 ? "tcp" : number == 17 ? "udp" : absl::StrCat(number);
  });
  Option(text, match.source_ports, "--sport", Ports);
  Option(text, match.destination_ports, "--dport", Ports);
  Option(text, match.icmp, "--icmp-type", icmp);
  Option(text, match.conntrack_states, "--ctstate", plain);
  Option(text, match.mark, "--mark", mark);
  Option(text, match.owner_uid, "--uid-owner", Ids);
  Option(text, match.owner_gid, "--gid-owner", Ids);
  Option(text, match.cgroup_path, "--path", plain);
  Option(text, match.ip_set, "--match-set", Set);
  Option(text, match.dscp, "--dscp", plain);
  Option(text, match.packet_type, "--pkt-type", [](PacketType type) {
    return type == PacketType::kUnicast     ? "unicast"
           : type == PacketType::kBroadcast ? "broadcast"
                                            : "multicast";
  });
  Option(text, match.source_address_types, "--src-type", plain);
  Option(text, match.destination_address_types, "--dst-type", plain);
  Option(text, match.tcp_flags, "--tcp-flags", [](const TcpFlags& flags) {
    return absl::StrCat(flags.mask, " ", flags.set);
  });
  return text;
}

}  // namespace

std::string FakeRuleText(const RuleSpec& rule) {
  const std::string comment = RuleMark(rule.id, rule.match.comment);
  std::string text = absl::StrCat("-A ", rule.chain, MatchText(rule.match),
                                  " -m comment --comment \"", comment, "\"");
  const bool by_target = rule.form == CountingForm::kTarget;
  if (!rule.counter.empty() && !by_target) {
    absl::StrAppend(&text, " -m nfacct --nfacct-name  ", rule.counter);
  }
  const absl::string_view target = TargetName(rule.verdict, rule.form);
  if (!target.empty()) absl::StrAppend(&text, " -j ", target);
  if (by_target) absl::StrAppend(&text, " --nfacct-name ", rule.counter);
  return text;
}

std::vector<std::string> FakeOwnedRuleTexts(absl::string_view chain,
                                            const OwnedRule& rule,
                                            absl::Span<const OwnedMap> maps) {
  if (rule.map.empty()) return {FakeOwnedRuleText(chain, rule)};
  std::vector<std::string> texts;
  for (const OwnedMap& map : maps) {
    if (map.name != rule.map) continue;
    for (const OwnedMap::Element& element : map.elements) {
      OwnedRule of_element = rule;
      of_element.counter = element.counter;
      texts.push_back(absl::StrCat(FakeOwnedRuleText(chain, of_element),
                                   " --map ", map.name, "/",
                                   absl::BytesToHexString(element.key)));
    }
  }
  return texts;
}

std::string FakeOwnedRuleText(absl::string_view chain, const OwnedRule& rule) {
  std::string text = absl::StrCat("-A ", chain, MatchText(rule.match));
  if (!rule.match.comment.empty()) {
    absl::StrAppend(&text, " -m comment --comment \"", rule.match.comment,
                    "\"");
  }
  if (!rule.counter.empty()) {
    absl::StrAppend(&text, " -m nfacct --nfacct-name  ", rule.counter);
  }
  switch (rule.action) {
    case OwnedAction::kContinue:
      return text;
    case OwnedAction::kJump:
      return absl::StrCat(text, " -j ", rule.chain);
    case OwnedAction::kGoto:
      return absl::StrCat(text, " -g ", rule.chain);
    case OwnedAction::kReturn:
      return absl::StrCat(text, " -j RETURN");
    case OwnedAction::kDrop:
      return absl::StrCat(text, " -j DROP");
    case OwnedAction::kReject:
      return absl::StrCat(text, " -j REJECT");
    case OwnedAction::kMark:
      return absl::StrCat(text, " -j MARK --set-xmark 0x",
                          absl::Hex(rule.mark.value), "/0x",
                          absl::Hex(rule.mark.mask));
  }
  return text;
}

Rule FakeForeignRule(absl::string_view text) {
  Rule rule;
  rule.text = std::string(text);
  rule.verdict = Verdict::kContinue;
  const std::vector<std::string> words =
      absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& value = words[i + 1];
    if (words[i] == "-A") rule.chain = value;
    if (words[i] == "--nfacct-name" && !rule.counter.empty()) {
      rule.other_counters.push_back(value);
    } else if (words[i] == "--nfacct-name") {
      rule.counter = value;
      rule.form = rule.target == kAcctTarget ? CountingForm::kTarget
                                             : CountingForm::kMatch;
    }
    if (words[i] == "-j" || words[i] == "-g") rule.target = value;
    if (words[i] == "-m" && value != "nfacct") {
      rule.other_matches.push_back(value);
    }
  }
  if (!rule.target.empty() && rule.target != kAcctTarget) {
    rule.verdict = rule.target == "ACCEPT"   ? Verdict::kAccept
                   : rule.target == "DROP"   ? Verdict::kDrop
                   : rule.target == "RETURN" ? Verdict::kReturn
                                             : Verdict::kOther;
  }
  return rule;
}

}  // namespace nfmeter::kernel
