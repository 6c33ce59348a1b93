// SPDX-License-Identifier: GPL-3.0-or-later
// CompileNftOwned().
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_owned.h"
#include "kernel/linux/nftables/nft_rule_layout.h"
#include "kernel/linux/nftables/nft_userdata.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

constexpr uint32_t kCounter = static_cast<uint32_t>(NftObjectType::kCounter);
constexpr uint32_t kQuota = static_cast<uint32_t>(NftObjectType::kQuota);
constexpr uint32_t kNoObjects = 0;

// How the key of a map lies in the register.
struct KeyLayout {
  uint32_t type = 0;
  uint32_t bytes = 0;
  bool host_order = false;
  NftExpression load;
  std::string text;
};

KeyLayout LayoutOf(MapKey key, Family family) {
  const NftLayout& layout = NftLayoutOf(family);
  const bool ipv4 = family == Family::kIpv4;
  const auto address = [&](uint32_t offset, absl::string_view which) {
    return KeyLayout{
        .type = ipv4 ? kNftTypeIpv4Address : kNftTypeIpv6Address,
        .bytes = static_cast<uint32_t>(layout.address_bytes),
        .load = NftPayload{NFT_PAYLOAD_NETWORK_HEADER, offset,
                           static_cast<uint32_t>(layout.address_bytes)},
        .text = absl::StrCat(ipv4 ? "ip " : "ip6 ", which)};
  };
  const auto port = [](uint32_t offset, absl::string_view which) {
    return KeyLayout{.type = kNftTypeService,
                     .bytes = sizeof(uint16_t),
                     .load = NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, offset,
                                        sizeof(uint16_t)},
                     .text = absl::StrCat("th ", which)};
  };
  switch (key) {
    case MapKey::kSource:
      return address(layout.source_offset, "saddr");
    case MapKey::kDestination:
      return address(layout.destination_offset, "daddr");
    case MapKey::kSourcePort:
      return port(kNftSourcePortOffset, "sport");
    case MapKey::kDestinationPort:
      return port(kNftDestinationPortOffset, "dport");
    case MapKey::kUid:
      break;
  }
  return {.type = kNftTypeUid,
          .bytes = sizeof(uint32_t),
          .host_order = true,
          .load = NftMeta{NFT_META_SKUID},
          .text = "meta skuid"};
}

std::string MaskOf(const OwnedMap& map, const KeyLayout& layout) {
  std::string mask(layout.bytes, '\0');
  for (size_t bit = 0; bit < map.bits; ++bit) {
    mask[bit / 8] = static_cast<char>(mask[bit / 8] | 0x80 >> bit % 8);
  }
  return NftKeyInRegister(std::move(mask), layout.host_order);
}

std::string HostBytes(uint32_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string QuotasOf(absl::string_view map) {
  return absl::StrCat(map, "-quotas");
}

// The set of pairs of equal keys, of a map that leaves these out.
std::string PairsOf(absl::string_view map) {
  return absl::StrCat(map, "-pairs");
}

// How nft numbers the type of a key that is two values of `type`.
uint32_t PairType(uint32_t type) { return type << 6 | type; }

absl::Status NoHook(const OwnedHook& hook) {
  return MakeError(absl::StatusCode::kNotFound, "CHAIN_NOT_FOUND",
                   absl::StrCat("nf_tables, by which this node counts, has no "
                                "chain ",
                                EscapeName(hook.from), " to begin from"));
}

// Compiles one table.
class TableCompiler {
 public:
  TableCompiler(const OwnedTable& table, RulePlacement placement,
                const CgroupPaths& cgroups, NftWanted& out)
      : table_(table), placement_(placement), cgroups_(cgroups), out_(out) {}

  absl::Status Run(uint32_t& next_set) {
    for (const OwnedMap& map : table_.maps) {
      maps_[map.name] = &map;
      AddMap(map, map.name, kCounter);
      if (map.HasQuotas()) AddMap(map, QuotasOf(map.name), kQuota);
      if (map.from_elsewhere) AddPairs(map);
    }
    const size_t first = out_.chains.size();
    for (const OwnedChain& chain : table_.chains) {
      NftWantedChain& wanted = out_.chains.emplace_back();
      wanted.place = PlaceOf(chain.name);
      wanted.chain = &chain;
      for (const OwnedRule& rule : chain.rules) {
        NFM_ASSIGN_OR_RETURN(NftRule compiled,
                             Compile(chain.name, rule, next_set));
        next_set += static_cast<uint32_t>(compiled.sets.size());
        wanted.texts.push_back(TextOf(rule));
        if (!compiled.sets.empty()) {
          // The elements of anonymous sets are not compared; this hash is.
          compiled.bytes.userdata = NftComment(absl::StrFormat(
              "nfmeter %016x", StableHash().Add(wanted.texts.back()).value()));
        }
        wanted.rules.push_back(std::move(compiled));
      }
    }
    return Hook(first);
  }

 private:
  NftOwnedPlace PlaceOf(const std::string& name) const {
    return {table_.family, table_.table, name};
  }
  std::string KernelName(const std::string& name) const {
    return PlaceOf(name).KernelName();
  }

  absl::Status Hook(size_t first) {
    const TableContents builtin = EmptyTable(table_.family, table_.table);
    for (const OwnedHook& hook : table_.hooks) {
      if (std::none_of(
              builtin.chains.begin(), builtin.chains.end(),
              [&](const Chain& each) { return each.name == hook.from; })) {
        return NoHook(hook);
      }
      for (size_t i = first; i < out_.chains.size(); ++i) {
        if (out_.chains[i].place.name != hook.to) continue;
        NftHook& base =
            out_.chains[i].hook.emplace(NftHookOf(table_.table, hook.from));
        // After the chains that others have at this hook: it sees the packets
        // that those let pass.
        if (placement_ == RulePlacement::kTail) base.priority += 2;
      }
    }
    return absl::OkStatus();
  }

  void AddMap(const OwnedMap& map, const std::string& name, uint32_t objects) {
    const KeyLayout layout = LayoutOf(map.key, table_.family);
    NftWantedMap& wanted = out_.maps.emplace_back();
    wanted.place = PlaceOf(name);
    wanted.map = {.name = wanted.place.KernelName(),
                  .key_type = layout.type,
                  .key_bytes = layout.bytes,
                  .host_order = layout.host_order,
                  .objects = objects};
    if (objects == kCounter) wanted.counters = &map;
    wanted.elements.reserve(map.elements.size());
    for (const OwnedMap::Element& each : map.elements) {
      if (objects == kQuota && !each.quota) continue;
      wanted.elements.push_back({NftKeyInRegister(each.key, layout.host_order),
                                 NftObjectName(each.counter)});
    }
    std::sort(wanted.elements.begin(), wanted.elements.end(),
              [](const auto& a, const auto& b) { return a.key < b.key; });
  }

  void AddPairs(const OwnedMap& map) {
    AddMap(map, PairsOf(map.name), kNoObjects);
    NftWantedMap& pairs = out_.maps.back();
    pairs.map.key_type = PairType(pairs.map.key_type);
    pairs.map.key_bytes *= 2;
    for (NftBatch::MapElement& each : pairs.elements) {
      each = {absl::StrCat(each.key, each.key), ""};
    }
  }

  absl::StatusOr<NftRule> Compile(const std::string& chain,
                                  const OwnedRule& rule, uint32_t first_set) {
    RuleSpec spec;
    spec.chain = chain;
    spec.match = rule.match;
    spec.counter = rule.counter;
    NftRuleParts parts = {.first_set = first_set};
    if (rule.match.cgroup_path.has_value()) {
      const auto found = cgroups_.Look(rule.match.cgroup_path->value);
      if (!found.has_value() || found->level == 0) {
        return MakeError(
            absl::StatusCode::kInvalidArgument, "RULE_REFUSED",
            absl::StrCat("cgroup '", EscapeName(rule.match.cgroup_path->value),
                         "' must exist below the root of the cgroup v2 "
                         "hierarchy, which nfmeterd must see mounted"));
      }
      parts.cgroup = {found->id, found->level};
    }
    NFM_ASSIGN_OR_RETURN(NftRule compiled,
                         CompileNftMatch(table_.family, spec, parts));
    std::vector<NftExpression>& out = compiled.bytes.expressions;
    if (!rule.map.empty()) {
      LookUp(*maps_.at(rule.map), out);
    } else if (!rule.counter.empty()) {
      out.push_back(NftObject{kCounter, NftObjectName(rule.counter)});
      if (rule.quota) {
        out.push_back(NftObject{kQuota, NftObjectName(rule.counter)});
      }
    }
    Act(rule, out);
    return compiled;
  }

  // Ends the rule for packets of which both ends are of one element.
  void LeaveOutPairs(const OwnedMap& map,
                     std::vector<NftExpression>& out) const {
    for (const MapKey end : {MapKey::kSource, MapKey::kDestination}) {
      const bool second = end == MapKey::kDestination;
      const KeyLayout layout = LayoutOf(end, table_.family);
      auto load = std::get<NftPayload>(layout.load);
      load.second = second;
      out.push_back(std::move(load));
      if (map.bits < 8 * layout.bytes) {
        out.push_back(NftBitwise{MaskOf(map, layout), second});
      }
    }
    out.push_back(
        NftLookup{.set = KernelName(PairsOf(map.name)), .negated = true});
  }

  void LookUp(const OwnedMap& map, std::vector<NftExpression>& out) const {
    if (map.from_elsewhere) LeaveOutPairs(map, out);
    const KeyLayout layout = LayoutOf(map.key, table_.family);
    out.push_back(layout.load);
    if (map.bits < 8 * layout.bytes) {
      out.push_back(NftBitwise{MaskOf(map, layout)});
    }
    out.push_back(NftObjectMap{KernelName(map.name)});
    if (map.HasQuotas()) {
      out.push_back(NftObjectMap{KernelName(QuotasOf(map.name))});
    }
  }

  void Act(const OwnedRule& rule, std::vector<NftExpression>& out) const {
    switch (rule.action) {
      case OwnedAction::kContinue:
        return;
      case OwnedAction::kJump:
        out.push_back(NftVerdict{NFT_JUMP, KernelName(rule.chain)});
        return;
      case OwnedAction::kGoto:
        out.push_back(NftVerdict{NFT_GOTO, KernelName(rule.chain)});
        return;
      case OwnedAction::kReturn:
        out.push_back(NftVerdict{NFT_RETURN, ""});
        return;
      case OwnedAction::kDrop:
        out.push_back(NftVerdict{kNftDrop, ""});
        return;
      case OwnedAction::kReject:
        out.push_back(
            NftReject{NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH});
        return;
      case OwnedAction::kMark:
        SetMark(rule.mark, out);
        return;
    }
  }

  static void SetMark(const Mark& mark, std::vector<NftExpression>& out) {
    if (mark.mask == UINT32_MAX) {
      out.push_back(NftImmediate{HostBytes(mark.value)});
    } else {
      out.push_back(NftMeta{NFT_META_MARK});
      if (mark.value == 0) {
        out.push_back(NftBitwise{HostBytes(~mark.mask)});
      } else {
        out.push_back(NftFlip{HostBytes(~mark.mask), HostBytes(mark.value)});
      }
    }
    out.push_back(NftSetMeta{NFT_META_MARK});
  }

  std::string TextOf(const OwnedRule& rule) const {
    Rule conditions;
    conditions.match = rule.match;
    conditions.match.comment.clear();
    std::string text = NftRuleText(table_.family, conditions, {});
    const auto add = [&](const auto&... parts) {
      absl::StrAppend(&text, " ", parts...);
    };
    if (!rule.map.empty()) {
      const OwnedMap& map = *maps_.at(rule.map);
      const std::string key = LayoutOf(map.key, table_.family).text;
      if (map.from_elsewhere) {
        const std::string source =
            LayoutOf(MapKey::kSource, table_.family).text;
        add(source, "/", map.bits, " . ", key, "/", map.bits, " != @",
            KernelName(PairsOf(rule.map)));
      }
      add("counter name ", key, "/", map.bits, " map @", KernelName(rule.map));
      if (map.HasQuotas()) {
        add("quota name ", key, "/", map.bits, " map @",
            KernelName(QuotasOf(rule.map)));
      }
    } else if (!rule.counter.empty()) {
      add("counter name \"", NftObjectName(rule.counter), "\"");
      if (rule.quota) {
        add("quota name \"", NftObjectName(rule.counter), "\"");
      }
    }
    switch (rule.action) {
      case OwnedAction::kContinue:
        break;
      case OwnedAction::kJump:
        add("jump ", KernelName(rule.chain));
        break;
      case OwnedAction::kGoto:
        add("goto ", KernelName(rule.chain));
        break;
      case OwnedAction::kReturn:
        add("return");
        break;
      case OwnedAction::kDrop:
        add("drop");
        break;
      case OwnedAction::kReject:
        add("reject");
        break;
      case OwnedAction::kMark:
        add("meta mark set 0x", absl::Hex(rule.mark.value), "/0x",
            absl::Hex(rule.mark.mask));
        break;
    }
    return text;
  }

  const OwnedTable& table_;
  const RulePlacement placement_;
  const CgroupPaths& cgroups_;
  NftWanted& out_;
  absl::flat_hash_map<std::string, const OwnedMap*> maps_;
};

}  // namespace

std::string NftKeyInRegister(std::string bytes, bool host_order) {
  if (host_order && BYTE_ORDER == LITTLE_ENDIAN) {
    std::reverse(bytes.begin(), bytes.end());
  }
  return bytes;
}

std::string NftOwnedPlace::KernelName() const {
  return NftChainName(family, table, name);
}

absl::StatusOr<NftWanted> CompileNftOwned(const OwnedEdit& edit) {
  NftWanted wanted;
  const CgroupPaths cgroups = CgroupPaths::Find();
  uint32_t next_set = 1;
  for (const OwnedTable& table : edit.wanted) {
    NFM_RETURN_IF_ERROR(
        TableCompiler(table, edit.placement, cgroups, wanted).Run(next_set));
  }
  return wanted;
}

}  // namespace nfmeter::kernel
