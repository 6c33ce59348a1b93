// SPDX-License-Identifier: GPL-3.0-or-later
// Packets, and what chains and plans make of them: the model that compiled
// plans are held against.
#ifndef NFMETER_TESTS_UNIT_ACCOUNTING_PLAN_TRAFFIC_H_
#define NFMETER_TESTS_UNIT_ACCOUNTING_PLAN_TRAFFIC_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "accounting/plans/plan.h"
#include "accounting/plans/plan_compiler.h"
#include "kernel/owned_chains.h"

namespace nfmeter::testing {

struct Packet {
  accounting::Direction direction = accounting::Direction::kIn;
  kernel::Family family = kernel::Family::kIpv4;
  std::array<uint8_t, 16> source{};
  std::array<uint8_t, 16> destination{};
  uint8_t protocol = 17;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  std::optional<uint32_t> uid;  // of packets from this host
  uint32_t mark = 0;
};

// How often each counter counts.
using Counts = std::map<std::string, int>;

inline bool Holds(const kernel::IpPrefix& prefix,
                  const std::array<uint8_t, 16>& address) {
  for (size_t i = 0; i < address.size(); ++i) {
    if ((address[i] & prefix.mask[i]) != prefix.address[i]) return false;
  }
  return true;
}

template <typename T, typename Accepts>
bool Meets(const std::optional<kernel::Negatable<T>>& condition,
           Accepts accepts) {
  return !condition.has_value() ||
         accepts(condition->value) != condition->negated;
}

inline bool Matches(const kernel::RuleMatch& match, const Packet& packet) {
  const auto has_port = [](uint16_t port) {
    return [port](const std::vector<kernel::PortRange>& ranges) {
      for (const kernel::PortRange& range : ranges) {
        if (range.first <= port && port <= range.last) return true;
      }
      return false;
    };
  };
  const auto is_from = [&](const auto& prefix) {
    return prefix.family == packet.family && Holds(prefix, packet.source);
  };
  const auto is_to = [&](const auto& prefix) {
    return prefix.family == packet.family && Holds(prefix, packet.destination);
  };
  return Meets(match.protocol,
               [&](uint8_t p) { return p == packet.protocol; }) &&
         Meets(match.source, is_from) && Meets(match.destination, is_to) &&
         Meets(match.source_ports, has_port(packet.source_port)) &&
         Meets(match.destination_ports, has_port(packet.destination_port)) &&
         Meets(match.mark,
               [&](const kernel::Mark& mark) {
                 return (packet.mark & mark.mask) == mark.value;
               }) &&
         Meets(match.owner_uid, [&](const kernel::IdRange& ids) {
           return packet.uid.has_value() && ids.first <= *packet.uid &&
                  *packet.uid <= ids.last;
         });
}

// The class of an address, by looking at every prefix.
inline std::string ClassOf(const accounting::Plan& plan,
                           const std::array<uint8_t, 16>& address,
                           kernel::Family family) {
  std::string best(accounting::kOtherClass);
  int longest = -1;
  for (const accounting::AddressClass& each : plan.classes) {
    for (const kernel::IpPrefix& prefix : each.prefixes) {
      if (prefix.family != family || !Holds(prefix, address)) continue;
      int length = 0;
      for (const uint8_t byte : prefix.mask) length += __builtin_popcount(byte);
      if (length > longest) {
        longest = length;
        best = each.name;
      }
    }
  }
  return best;
}

// What the plan says, account by account.
inline Counts CountByPlan(const accounting::Plan& plan,
                          const std::vector<accounting::PlanAccount>& accounts,
                          const Packet& packet) {
  Counts counts;
  for (const accounting::PlanAccount& account : accounts) {
    const auto directions = accounting::PossibleDirections(account);
    const auto families = accounting::PossibleFamilies(account);
    if (std::count(directions.begin(), directions.end(), packet.direction) ==
            0 ||
        std::count(families.begin(), families.end(), packet.family) == 0 ||
        !Matches(account.match, packet)) {
      continue;
    }
    std::string counter = account.counter;
    if (account.split.has_value()) {
      counter = accounting::ClassCounter(
          counter, ClassOf(plan,
                           *account.split == accounting::Split::kSource
                               ? packet.source
                               : packet.destination,
                           packet.family));
    }
    ++counts[counter];
  }
  return counts;
}

// What the kernel would do with the chains. `met` is how many rules it looked
// at.
class ChainWalk {
 public:
  explicit ChainWalk(const kernel::OwnedTable& table) : table_(table) {
    for (const kernel::OwnedChain& chain : table.chains) {
      chains_[chain.name] = &chain;
    }
    for (const kernel::OwnedMap& map : table.maps) maps_[map.name] = &map;
  }

  Counts Count(const Packet& packet, size_t* met = nullptr) const {
    static const std::map<accounting::Direction, std::string> kHooks = {
        {accounting::Direction::kIn, "INPUT"},
        {accounting::Direction::kOut, "OUTPUT"},
        {accounting::Direction::kForwarded, "FORWARD"}};
    Counts counts;
    size_t looked = 0;
    for (const kernel::OwnedHook& hook : table_.hooks) {
      if (hook.from != kHooks.at(packet.direction)) continue;
      ++looked;
      Walk(hook.to, packet, counts, looked);
    }
    if (met != nullptr) *met = looked;
    return counts;
  }

 private:
  void Walk(const std::string& name, const Packet& packet, Counts& counts,
            size_t& looked) const {
    for (const kernel::OwnedRule& rule : chains_.at(name)->rules) {
      ++looked;
      if (!Matches(rule.match, packet)) continue;
      if (!rule.counter.empty()) ++counts[rule.counter];
      // A rule does not match while its counter is below its quota.
      if (rule.quota) continue;
      if (!rule.map.empty()) LookUp(*maps_.at(rule.map), packet, counts);
      if (rule.action == kernel::OwnedAction::kJump) {
        Walk(rule.chain, packet, counts, looked);
      } else if (rule.action == kernel::OwnedAction::kReturn) {
        return;
      } else if (rule.action == kernel::OwnedAction::kGoto) {
        return Walk(rule.chain, packet, counts, looked);
      }
    }
  }

  // The key of the packet, under the map's mask.
  static std::optional<std::string> KeyOf(const kernel::OwnedMap& map,
                                          const Packet& packet) {
    const auto bytes = [](uint32_t number, size_t count) {
      std::string text;
      for (size_t i = count; i-- > 0;) {
        text.push_back(static_cast<char>(number >> (8 * i)));
      }
      return text;
    };
    const size_t address_bytes =
        packet.family == kernel::Family::kIpv4 ? 4 : 16;
    std::string key;
    switch (map.key) {
      case kernel::MapKey::kSource:
        key.assign(packet.source.begin(),
                   packet.source.begin() + address_bytes);
        break;
      case kernel::MapKey::kDestination:
        key.assign(packet.destination.begin(),
                   packet.destination.begin() + address_bytes);
        break;
      case kernel::MapKey::kSourcePort:
        key = bytes(packet.source_port, 2);
        break;
      case kernel::MapKey::kDestinationPort:
        key = bytes(packet.destination_port, 2);
        break;
      case kernel::MapKey::kUid:
        if (!packet.uid.has_value()) return std::nullopt;
        key = bytes(*packet.uid, 4);
        break;
    }
    for (size_t bit = map.bits; bit < 8 * key.size(); ++bit) {
      key[bit / 8] = static_cast<char>(key[bit / 8] & ~(0x80 >> bit % 8));
    }
    return key;
  }

  static void LookUp(const kernel::OwnedMap& map, const Packet& packet,
                     Counts& counts) {
    const std::optional<std::string> key = KeyOf(map, packet);
    if (!key.has_value()) return;
    if (map.from_elsewhere) {
      kernel::OwnedMap by_source = map;
      by_source.key = kernel::MapKey::kSource;
      if (KeyOf(by_source, packet) == key) return;
    }
    const auto found = std::lower_bound(
        map.elements.begin(), map.elements.end(), *key,
        [](const auto& element, const auto& key) { return element.key < key; });
    if (found != map.elements.end() && found->key == *key) {
      ++counts[found->counter];
    }
  }

  const kernel::OwnedTable& table_;
  std::map<std::string, const kernel::OwnedChain*> chains_;
  std::map<std::string, const kernel::OwnedMap*> maps_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_UNIT_ACCOUNTING_PLAN_TRAFFIC_H_
