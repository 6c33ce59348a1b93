// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/bound_details.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nfmeter {

ErrorDetails BoundDetails(absl::string_view reason, uint64_t bound,
                          std::map<std::string, std::string> more) {
  ErrorDetails details = {.reason = std::string(reason),
                          .metadata = std::move(more)};
  details.metadata["bound"] = absl::StrCat(bound);
  return details;
}

}  // namespace nfmeter
