// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_map_names.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace nfmeter::kernel {
namespace {

constexpr absl::string_view kOther = "-b";

std::string OtherName(absl::string_view name) {
  if (absl::ConsumeSuffix(&name, kOther)) return std::string(name);
  return absl::StrCat(name, kOther);
}

// The map or the set that an expression looks into; null: none.
template <typename Expression>
auto PlaceOf(Expression& expression)
    -> decltype(&std::get<NftLookup>(expression).set) {
  if (auto* map = std::get_if<NftObjectMap>(&expression)) return &map->map;
  if (auto* set = std::get_if<NftLookup>(&expression)) return &set->set;
  return nullptr;
}

}  // namespace

void UseFoundNames(const NftFound& found, NftWanted& wanted) {
  absl::flat_hash_set<std::string> used;
  for (const NftFoundChain& chain : found.chains) {
    for (const NftRuleBytes& rule : chain.rules) {
      for (const NftExpression& each : rule.expressions) {
        const std::string* const place = PlaceOf(each);
        if (place != nullptr) used.insert(*place);
      }
    }
  }
  absl::flat_hash_set<std::string> renamed;
  for (const NftWantedMap& each : wanted.maps) {
    const std::string& name = each.map.name;
    if (!used.contains(name) && used.contains(OtherName(name))) {
      renamed.insert(name);
    }
  }
  UseOtherNames(renamed, wanted);
}

void UseOtherNames(const absl::flat_hash_set<std::string>& maps,
                   NftWanted& wanted) {
  if (maps.empty()) return;
  for (NftWantedMap& each : wanted.maps) {
    if (maps.contains(each.map.name)) {
      each.map.name = OtherName(each.map.name);
    }
  }
  for (NftWantedChain& chain : wanted.chains) {
    for (NftRule& rule : chain.rules) {
      for (NftExpression& each : rule.bytes.expressions) {
        std::string* const place = PlaceOf(each);
        if (place != nullptr && maps.contains(*place)) {
          *place = OtherName(*place);
        }
      }
    }
  }
}

}  // namespace nfmeter::kernel
