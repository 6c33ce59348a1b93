// SPDX-License-Identifier: GPL-3.0-or-later
// Names as people see them, and which counters a request is about.
#ifndef NFMETER_ACCOUNTING_COMMON_COUNTER_FILTER_H_
#define NFMETER_ACCOUNTING_COMMON_COUNTER_FILTER_H_

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::accounting {

// The counters whose name starts with one of `prefixes`; without any, all.
struct CounterScope {
  std::vector<std::string> prefixes;

  bool has_all() const { return prefixes.empty(); }

  // `shown_name` is as ShownName() makes it. No scope but that of all contains
  // the empty name, which is that of rules without a counter.
  bool Contains(absl::string_view shown_name) const;

  friend bool operator==(const CounterScope&, const CounterScope&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const CounterScope& scope) {
    return H::combine(std::move(h), scope.prefixes);
  }
};

using Labels = std::map<std::string, std::string>;

// A label of our own, with an empty value: the counter was made through
// nfmeter. Keys of callers are never empty.
inline constexpr char kManagedLabel[] = "";

// Another one, whose value is the counter's description: it is kept, weighed
// and changed with the labels. Keys of callers have no space.
inline constexpr char kDescriptionLabel[] = " ";

// Whether a key is one of these two.
inline bool IsOwnLabel(absl::string_view key) {
  return key == kManagedLabel || key == kDescriptionLabel;
}

// A kernel name as the API shows it: bytes outside printable ASCII, the
// backslash and the space as \xHH. Names in the API's alphabet are unchanged.
std::string ShownName(absl::string_view kernel_name);

// Whether `name` can be the name of a counter made by us: 1 to 253 of
// [A-Za-z0-9._:/@+-], not beginning with kernel::kAcctOwnPrefix.
bool IsCounterName(absl::string_view name);

// Glob over a whole string: `*`, `?`, `[a-z]`, `[!a-z]` as in fnmatch(3),
// without escapes. An empty glob matches everything.
bool GlobMatches(const std::string& glob, const std::string& text);

// Whether the glob has a '[' without its ']', which no name matches.
bool HasOpenBracket(absl::string_view glob);

// Which counters. Empty: all.
struct CounterFilter {
  std::string name_glob;
  Labels labels;       // all must be there with these values
  Labels not_labels;   // none may be there with this value
  CounterScope scope;  // what the caller may see

  // It matches every counter.
  bool matches_all() const {
    return name_glob.empty() && !needs_labels() && scope.has_all();
  }
  // Matches() wants to know the counter's labels.
  bool needs_labels() const { return !labels.empty() || !not_labels.empty(); }

  // `shown_name` is as ShownName() makes it.
  bool Matches(const std::string& shown_name, const Labels& labels) const;

  friend bool operator==(const CounterFilter&, const CounterFilter&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const CounterFilter& filter) {
    h = H::combine(std::move(h), filter.name_glob, filter.scope);
    for (const Labels* labels : {&filter.labels, &filter.not_labels}) {
      h = H::combine(std::move(h), labels->size());
      for (const auto& [key, value] : *labels) {
        h = H::combine(std::move(h), key, value);
      }
    }
    return h;
  }
};

inline constexpr size_t kMaxLabelKeyBytes = 63;

// 1 to 63 of [a-z0-9._/-].
bool IsLabelKey(absl::string_view key);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_COUNTER_FILTER_H_
