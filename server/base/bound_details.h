// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_BASE_BOUND_DETAILS_H_
#define NFMETER_BASE_BOUND_DETAILS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "base/error.h"

namespace nfmeter {

// Details of an error about something that goes beyond a bound of the server:
// the metadata is the bound, as "bound", and `more`, such as the "size" that
// there is.
ErrorDetails BoundDetails(absl::string_view reason, uint64_t bound,
                          std::map<std::string, std::string> more = {});

}  // namespace nfmeter

#endif  // NFMETER_BASE_BOUND_DETAILS_H_
