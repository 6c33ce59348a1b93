// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_expression_cursor.h"

#include <linux/netfilter/nf_tables.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace nfmeter::kernel {
namespace {

bool IsEquality(const NftCompare& compare) {
  return compare.operation == NFT_CMP_EQ || compare.operation == NFT_CMP_NEQ;
}

}  // namespace

std::optional<NftExpressionCursor::Comparison>
NftExpressionCursor::TakeComparison() {
  const auto* compare = Take<NftCompare>();
  if (compare == nullptr || !IsEquality(*compare)) return std::nullopt;
  return Comparison{compare->operation == NFT_CMP_NEQ, compare->value};
}

std::optional<NftExpressionCursor::Between> NftExpressionCursor::TakeBetween() {
  if (const auto* outside = Take<NftOutside>()) {
    return Between{true, outside->first, outside->last};
  }
  const auto* first = Take<NftCompare>();
  if (first == nullptr) return std::nullopt;
  if (first->operation == NFT_CMP_GTE) {
    const auto* last = Take<NftCompare>();
    if (last == nullptr || last->operation != NFT_CMP_LTE) return std::nullopt;
    return Between{false, first->value, last->value};
  }
  if (!IsEquality(*first)) return std::nullopt;
  return Between{first->operation == NFT_CMP_NEQ, first->value, first->value};
}

std::string NftExpressionCursor::PassForeign(size_t start) {
  at_ = start + 1;
  const auto* unknown = std::get_if<NftUnknown>(&expressions_[start]);
  std::string name = unknown != nullptr ? unknown->name : "condition";
  while (Take<NftBitwise>() != nullptr ||
         Take<NftToNetworkOrder>() != nullptr ||
         Take<NftCompare>() != nullptr || Take<NftOutside>() != nullptr ||
         Take<NftLookup>() != nullptr) {
  }
  // A lookup of a plan: what counts is in the map, and quotas are in another.
  std::vector<std::string> maps;
  while (const auto* map = Take<NftObjectMap>()) maps.push_back(map->map);
  return maps.empty() ? name
                      : absl::StrCat("map @", absl::StrJoin(maps, ", map @"));
}

}  // namespace nfmeter::kernel
