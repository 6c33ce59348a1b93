// SPDX-License-Identifier: GPL-3.0-or-later
// Requests about counters: names as the API shows them, filters, labels.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "accounting/common/counter_filter.h"
#include "service/counter/validate_counter.h"
#include "service/gate/request_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nfmeter;  // NOLINT: one function
  v1::BatchCreateCountersRequest request;
  if (request.ParseFromArray(data, static_cast<int>(size))) {
    service::FieldErrors errors;
    const auto counters = service::ReadNewCounters(request.counters(), errors);
    if (errors.empty()) {
      for (const auto& counter : counters) {
        if (!accounting::IsCounterName(counter.object.name)) abort();
      }
    }
  }
  // A name that is read is the one that is shown.
  const std::string shown(reinterpret_cast<const char*>(data), size);
  service::FieldErrors errors;
  const std::string name = service::ReadCounterName(shown, "name", errors);
  if (errors.empty()) {
    service::FieldErrors none;
    if (service::ReadCounterName(accounting::ShownName(name), "name", none) !=
        name) {
      abort();
    }
  }
  v1::CounterFilter filter;
  if (filter.ParseFromArray(data, static_cast<int>(size))) {
    service::FieldErrors ignored;
    const auto read = service::ReadCounterFilter(filter, {}, ignored);
    (void)read.Matches("http-traffic", {{"tenant", "a"}});
  }
  return 0;
}
