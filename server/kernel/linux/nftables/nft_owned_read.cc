// SPDX-License-Identifier: GPL-3.0-or-later
// ReadNftOwned().
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_owned.h"

namespace nfmeter::kernel {
namespace {

constexpr char kPlanChains[] = "the chains of plans";

// The owned chain or map that has this name in the kernel; nullopt: none.
std::optional<NftOwnedPlace> PlaceOf(absl::string_view name,
                                     absl::string_view prefix) {
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      const std::string before = NftChainName(family, table, "");
      if (!absl::StartsWith(name, before)) continue;
      const absl::string_view rest = name.substr(before.size());
      if (!absl::StartsWith(rest, prefix)) continue;
      return NftOwnedPlace{family, table, std::string(rest)};
    }
  }
  return std::nullopt;
}

absl::Status ReadChains(NetlinkSocket& socket, absl::string_view prefix,
                        NftFound& out) {
  return ReadNftDump(
      socket, kPlanChains, NftDumpChains(), [&](const NftMessage& message) {
        const auto info = ReadNftChain(message.attributes);
        if (!info.has_value() || info->table != kNftTable) return;
        std::optional<NftOwnedPlace> place = PlaceOf(info->name, prefix);
        if (!place.has_value()) return;
        NftFoundChain& chain = out.chains.emplace_back();
        chain.place = *std::move(place);
        chain.hook_type = std::string(info->type);
        if (info->base) {
          chain.hook = NftHook{.point = static_cast<NftHookPoint>(info->hook),
                               .priority = info->priority};
        }
      });
}

absl::Status ReadRules(NetlinkSocket& socket, NftFoundChain& chain) {
  const std::string name = chain.place.KernelName();
  return ReadNftDump(
      socket, kPlanChains, NftDumpRules(name), [&](const NftMessage& message) {
        if (message.kind != NftMessage::Kind::kRule) return;
        const auto info = ReadNftRule(message.attributes);
        if (!info.has_value() || info->chain != name) return;
        chain.handles.push_back(info->handle);
        chain.rules.push_back(
            {ReadNftExpressions(info->expressions),
             std::string(info->userdata.begin(), info->userdata.end())});
        // Sets can't be read in the middle of a dump.
        chain.read.push_back(ReadNftRuleOf(
            chain.place.family, chain.place.table, chain.place.name, *info,
            [](const std::string&) { return std::nullopt; }));
      });
}

absl::Status ReadMaps(NetlinkSocket& socket, absl::string_view prefix,
                      NftFound& out) {
  return ReadNftDump(
      socket, kPlanChains, NftDumpSets(), [&](const NftMessage& message) {
        const auto info = ReadNftSet(message.attributes);
        if (!info.has_value() || info->table != kNftTable) return;
        std::optional<NftOwnedPlace> place = PlaceOf(info->name, prefix);
        if (!place.has_value()) return;
        NftFoundMap& map = out.maps.emplace_back();
        map.place = *std::move(place);
        map.map = {.name = std::string(info->name),
                   .key_type = info->key_type,
                   .key_bytes = info->key_bytes,
                   .objects = info->objects};
      });
}

absl::Status ReadElements(NetlinkSocket& socket, NftFoundMap& map) {
  std::vector<NftElement> elements;
  NFM_RETURN_IF_ERROR(
      ReadNftDump(socket, kPlanChains, NftDumpElements(map.map.name),
                  [&](const NftMessage& message) {
                    ReadNftElements(message.attributes, elements);
                  }));
  map.elements.reserve(elements.size());
  for (NftElement& each : elements) {
    map.elements.push_back({std::move(each.key), std::move(each.object)});
  }
  std::sort(map.elements.begin(), map.elements.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  // If the kernel resizes the hash table during the walk, some come twice.
  map.elements.erase(std::unique(map.elements.begin(), map.elements.end()),
                     map.elements.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NftFound> ReadNftOwned(NetlinkSocket& socket,
                                      absl::string_view prefix,
                                      const NftKnownElements* known) {
  NftFound found;
  NFM_RETURN_IF_ERROR(ReadChains(socket, prefix, found));
  for (NftFoundChain& chain : found.chains) {
    if (chain.hook.has_value()) chain.hook->type = chain.hook_type;
    NFM_RETURN_IF_ERROR(ReadRules(socket, chain));
  }
  NFM_RETURN_IF_ERROR(ReadMaps(socket, prefix, found));
  for (NftFoundMap& map : found.maps) {
    if (known != nullptr) {
      const auto of_map = known->find(map.map.name);
      if (of_map != known->end()) {
        map.elements = of_map->second;
        continue;
      }
    }
    NFM_RETURN_IF_ERROR(ReadElements(socket, map));
  }
  return found;
}

}  // namespace nfmeter::kernel
