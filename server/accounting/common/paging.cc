// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/paging.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"

namespace nfmeter::accounting {
namespace {

// The format's version, and the query.
std::string Prefix(uint64_t query) { return absl::StrFormat("1%016x", query); }

constexpr size_t kPrefixBytes = 17;

absl::Status Invalid(absl::string_view what) {
  const std::string description = absl::StrCat(
      what, "; leave page_token empty to start from the first page");
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("page_token: ", description),
                   ErrorDetails{.reason = "PAGE_TOKEN_INVALID",
                                .violations = {{"page_token", description}}});
}

}  // namespace

void AddFilter(const CounterFilter& filter, StableHash& hash) {
  hash.Add(filter.name_glob);
  for (const Labels* labels : {&filter.labels, &filter.not_labels}) {
    hash.Add(uint64_t{labels->size()});
    for (const auto& [key, value] : *labels) hash.Add(key).Add(value);
  }
  for (const std::string& prefix : filter.scope.prefixes) hash.Add(prefix);
}

std::string MakePageToken(uint64_t query, absl::string_view position) {
  return absl::WebSafeBase64Escape(absl::StrCat(Prefix(query), position));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view token,
                                          uint64_t query) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(token, &bytes) ||
      bytes.size() < kPrefixBytes || bytes[0] != '1') {
    return Invalid("is not a token of this server");
  }
  if (!absl::StartsWith(bytes, Prefix(query))) {
    return Invalid("belongs to a listing with another filter");
  }
  return bytes.substr(kPrefixBytes);
}

}  // namespace nfmeter::accounting
