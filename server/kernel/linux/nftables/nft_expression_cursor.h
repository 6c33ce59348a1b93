// SPDX-License-Identifier: GPL-3.0-or-later
// Goes through the expressions of a rule, as the compiler writes them.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_

#include <linux/netfilter/nf_tables.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernel/linux/nftables/nft_expression.h"

namespace nfmeter::kernel {

// Not thread-safe. What it hands out stands as long as it lives.
class NftExpressionCursor {
 public:
  explicit NftExpressionCursor(std::vector<NftExpression> expressions)
      : expressions_(std::move(expressions)) {}

  bool at_end() const { return at_ == expressions_.size(); }
  // Of the next expression.
  size_t position() const { return at_; }

  // The next expression, and past it, if it is of this type; else null.
  template <typename T>
  const T* Take() {
    if (at_end()) return nullptr;
    const T* taken = std::get_if<T>(&expressions_[at_]);
    if (taken != nullptr) ++at_;
    return taken;
  }

  // == or != a value. nullopt: what comes next is something else, and may be
  // passed already.
  struct Comparison {
    bool negated = false;
    std::string value;
  };
  std::optional<Comparison> TakeComparison() {
    const auto* compare = Take<NftCompare>();
    if (compare == nullptr || !IsEquality(*compare)) return std::nullopt;
    return Comparison{compare->operation == NFT_CMP_NEQ, compare->value};
  }

  // Between two values, which may be the same, or outside of them. nullopt as
  // above.
  struct Between {
    bool negated = false;
    std::string first;
    std::string last;
  };
  std::optional<Between> TakeBetween() {
    if (const auto* outside = Take<NftOutside>()) {
      return Between{true, outside->first, outside->last};
    }
    const auto* first = Take<NftCompare>();
    if (first == nullptr) return std::nullopt;
    if (first->operation == NFT_CMP_GTE) {
      const auto* last = Take<NftCompare>();
      if (last == nullptr || last->operation != NFT_CMP_LTE)
        return std::nullopt;
      return Between{false, first->value, last->value};
    }
    if (!IsEquality(*first)) return std::nullopt;
    return Between{first->operation == NFT_CMP_NEQ, first->value, first->value};
  }

  // Something at `start` that we do not make: passes it with all that belongs
  // to what it loads. Its name for people.
  std::string PassForeign(size_t start) {
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

 private:
  static bool IsEquality(const NftCompare& compare) {
    return compare.operation == NFT_CMP_EQ || compare.operation == NFT_CMP_NEQ;
  }

  const std::vector<NftExpression> expressions_;
  size_t at_ = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_
