// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/counter_filter.h"

#include <fnmatch.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/name_escape.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

bool CounterScope::Contains(absl::string_view shown_name) const {
  return prefixes.empty() ||
         (!shown_name.empty() && std::any_of(prefixes.begin(), prefixes.end(),
                                             [&](const std::string& prefix) {
                                               return absl::StartsWith(
                                                   shown_name, prefix);
                                             }));
}

std::string ShownName(absl::string_view kernel_name) {
  return EscapeNameToAscii(kernel_name);
}

bool IsCounterName(absl::string_view name) {
  constexpr absl::string_view kPunctuation = "._:/@+-";
  return !name.empty() && name.size() <= kernel::kAcctNameMaxBytes &&
         !absl::StartsWith(name, kernel::kAcctOwnPrefix) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  absl::StrContains(kPunctuation, c);
         });
}

bool GlobMatches(const std::string& glob, const std::string& text) {
  return glob.empty() || fnmatch(glob.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
}

bool HasOpenBracket(absl::string_view glob) {
  // fnmatch() takes an open bracket for the character, which no name has.
  while (true) {
    const size_t open = glob.find('[');
    if (open == glob.npos) return false;
    glob.remove_prefix(open + 1);
    // A ']' that stands first is one of the characters.
    const size_t first = absl::StartsWith(glob, "!") ? 1 : 0;
    const size_t close = glob.find(']', first + 1);
    if (close == glob.npos) return true;
    glob.remove_prefix(close + 1);
  }
}

bool CounterFilter::Matches(const std::string& shown_name,
                            const Labels& of_counter) const {
  return scope.Contains(shown_name) && GlobMatches(name_glob, shown_name) &&
         std::includes(of_counter.begin(), of_counter.end(), labels.begin(),
                       labels.end()) &&
         std::none_of(of_counter.begin(), of_counter.end(),
                      [this](const auto& label) {
                        const auto other = not_labels.find(label.first);
                        return other != not_labels.end() &&
                               other->second == label.second;
                      });
}

bool IsLabelKey(absl::string_view key) {
  return !key.empty() && key.size() <= kMaxLabelKeyBytes &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  c == '.' || c == '_' || c == '/' || c == '-';
         });
}

}  // namespace nfmeter::accounting
