// SPDX-License-Identifier: GPL-3.0-or-later
// Rules with every condition, negated or not, for tests of the codec.
#ifndef NFMETER_TESTS_UNIT_KERNEL_XT_RULES_H_
#define NFMETER_TESTS_UNIT_KERNEL_XT_RULES_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/rule_types.h"

namespace nfmeter::testing {

// Two sets, at indexes 7 and 300.
class TwoSets : public kernel::IpSetIndex {
 public:
  absl::StatusOr<uint16_t> IndexOf(absl::string_view name) override {
    for (const auto& [index, set] : sets_) {
      if (set == name) return index;
    }
    return NotFound();
  }
  absl::StatusOr<std::string> NameOf(uint16_t index) override {
    const auto found = sets_.find(index);
    if (found == sets_.end()) return NotFound();
    return found->second;
  }

 private:
  static absl::Status NotFound() {
    return MakeError(absl::StatusCode::kNotFound, "IPSET_NOT_FOUND", "no set");
  }
  std::map<uint16_t, std::string> sets_ = {{7, "hosts"}, {300, "web"}};
};

// Calls `add` with the match that `set` makes of a condition, and with the one
// that it makes of its negation.
template <typename Field, typename T, typename Add>
void BothWays(Field kernel::RuleMatch::*field, T value,
              const kernel::RuleMatch& base, Add add) {
  for (const bool negated : {false, true}) {
    kernel::RuleMatch match = base;
    match.*field = typename Field::value_type{value, negated};
    add(std::move(match));
  }
}

inline std::vector<kernel::RuleMatch> EveryCondition(kernel::Family family) {
  using namespace kernel;  // NOLINT: a table of the namespace's types
  const bool v4 = family == Family::kIpv4;
  using Ports = std::vector<PortRange>;
  std::vector<RuleMatch> matches;
  const auto add = [&matches](RuleMatch match) {
    matches.push_back(std::move(match));
  };
  const auto prefix = [](absl::string_view text) {
    return *ParseIpPrefix(text);
  };
  const auto protocol = [](int number) {
    return RuleMatch{.protocol =
                         Negatable<uint8_t>{static_cast<uint8_t>(number)}};
  };
  add({});
  for (const uint8_t number : {1, 6, 255}) {
    BothWays(&RuleMatch::protocol, number, {}, add);
  }
  for (const char* text :
       {v4 ? "10.0.0.0/8" : "2001:db8::/33", v4 ? "192.0.2.1" : "::1",
        v4 ? "10.0.0.1/255.0.0.1" : "2000::1/f000::1"}) {
    BothWays(&RuleMatch::source, prefix(text), {}, add);
    BothWays(&RuleMatch::destination, prefix(text), {}, add);
  }
  for (const char* name :
       {"lo", "eth+", "a23456789012345", "a2345678901234+"}) {
    BothWays(&RuleMatch::in_interface, std::string(name), {}, add);
    BothWays(&RuleMatch::out_interface, std::string(name), {}, add);
  }
  for (const int number : {6, 17, 33, 132, 136}) {
    for (const Ports& ports :
         {Ports{{80, 80}}, Ports{{0, 0}}, Ports{{1, 65535}}, Ports{{0, 65535}},
          Ports{{1, 1}, {5, 9}}, Ports(15, PortRange{3, 3})}) {
      BothWays(&RuleMatch::source_ports, ports, protocol(number), add);
      BothWays(&RuleMatch::destination_ports, ports, protocol(number), add);
      RuleMatch both = protocol(number);
      both.source_ports = Negatable<Ports>{Ports{{7, 8}}, true};
      BothWays(&RuleMatch::destination_ports, ports, both, add);
    }
  }
  for (const Icmp& icmp : {Icmp{8, {}}, Icmp{3, 4}, Icmp{128, 0}}) {
    BothWays(&RuleMatch::icmp, icmp, protocol(v4 ? 1 : 58), add);
  }
  for (uint32_t state = kCtInvalid; state <= kCtDnat; state <<= 1) {
    BothWays(&RuleMatch::conntrack_states, state, {}, add);
  }
  BothWays(&RuleMatch::conntrack_states, uint32_t{0x7f}, {}, add);
  BothWays(&RuleMatch::mark, Mark{0}, {}, add);
  BothWays(&RuleMatch::mark, Mark{0xdeadbeef, 0xffff0000}, {}, add);
  for (const IdRange& ids : {IdRange{0, 0}, IdRange{1000, 0xfffffffe}}) {
    BothWays(&RuleMatch::owner_uid, ids, {}, add);
    BothWays(&RuleMatch::owner_gid, ids, {}, add);
    RuleMatch both;
    both.owner_gid = Negatable<IdRange>{IdRange{5, 6}, true};
    BothWays(&RuleMatch::owner_uid, ids, both, add);
  }
  for (const std::string& path : {std::string("/"), std::string(511, 'p')}) {
    BothWays(&RuleMatch::cgroup_path, path, {}, add);
  }
  const auto source = IpSetDirection::kSource;
  const auto destination = IpSetDirection::kDestination;
  BothWays(&RuleMatch::ip_set, IpSet{"hosts", {source}}, {}, add);
  BothWays(&RuleMatch::ip_set, IpSet{"web", {destination, source}}, {}, add);
  BothWays(
      &RuleMatch::ip_set,
      IpSet{"web", {source, source, destination, source, destination, source}},
      {}, add);
  for (const uint8_t dscp : {0, 46, 63}) {
    BothWays(&RuleMatch::dscp, dscp, {}, add);
  }
  for (const PacketType type :
       {PacketType::kUnicast, PacketType::kBroadcast, PacketType::kMulticast}) {
    BothWays(&RuleMatch::packet_type, type, {}, add);
  }
  for (const uint16_t types : {kAddrUnspec, kAddrLocal, kAddrUnreachable}) {
    BothWays(&RuleMatch::source_address_types, types, {}, add);
    BothWays(&RuleMatch::destination_address_types, types, {}, add);
    RuleMatch both;
    both.source_address_types = Negatable<uint16_t>{kAddrAnycast, true};
    BothWays(&RuleMatch::destination_address_types, types, both, add);
  }
  BothWays(&RuleMatch::tcp_flags, TcpFlags{0x3f, 0x02}, protocol(6), add);
  RuleMatch flags_and_ports = protocol(6);
  flags_and_ports.source_ports = Negatable<Ports>{Ports{{1, 2}}, true};
  BothWays(&RuleMatch::tcp_flags, TcpFlags{1, 0}, flags_and_ports, add);
  for (const std::string& comment :
       {std::string("web"), std::string(" two  spaces "), std::string("\xff\n"),
        std::string(200, 'c')}) {
    add(RuleMatch{.comment = comment});
  }
  return matches;
}

// A rule of ours with this match.
inline kernel::RuleSpec RuleWith(kernel::RuleMatch match) {
  return {.id = "rule-1",
          .chain = "INPUT",
          .match = std::move(match),
          .counter = "traffic"};
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_UNIT_KERNEL_XT_RULES_H_
