// SPDX-License-Identifier: Apache-2.0
// The collector's log: one line a change of state, key=value, on standard
// error.
#ifndef NFMETER_COLLECTOR_LOG_H_
#define NFMETER_COLLECTOR_LOG_H_

#include <initializer_list>
#include <utility>

#include "absl/strings/string_view.h"

namespace nfmeter::collector {

enum class Level { kInfo, kWarning, kError };

// Thread-safe.
void Log(Level level, absl::string_view what,
         std::initializer_list<std::pair<absl::string_view, absl::string_view>>
             values = {});

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_LOG_H_
