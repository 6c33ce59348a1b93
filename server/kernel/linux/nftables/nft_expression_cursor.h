// SPDX-License-Identifier: GPL-3.0-or-later
// Goes through the expressions of a rule, as the compiler writes them.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

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
  std::optional<Comparison> TakeComparison();

  // Between two values, which may be the same, or outside of them. nullopt as
  // above.
  struct Between {
    bool negated = false;
    std::string first;
    std::string last;
  };
  std::optional<Between> TakeBetween();

  // Something at `start` that we do not make: passes it with all that belongs
  // to what it loads. Its name for people.
  std::string PassForeign(size_t start);

 private:
  const std::vector<NftExpression> expressions_;
  size_t at_ = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_CURSOR_H_
