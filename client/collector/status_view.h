// SPDX-License-Identifier: Apache-2.0
// What `nfmeter-collector status` prints.
#ifndef NFMETER_COLLECTOR_STATUS_VIEW_H_
#define NFMETER_COLLECTOR_STATUS_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// A table for people.
std::string StatusTable(const FleetStatus& status, absl::Time now);
// One JSON object for programs; lags in seconds, null where nothing is stored.
std::string StatusJson(const FleetStatus& status, absl::Time now);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_STATUS_VIEW_H_
