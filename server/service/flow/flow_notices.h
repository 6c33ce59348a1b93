// SPDX-License-Identifier: GPL-3.0-or-later
// What a caller has to know of a reading of flows, in sentences.
#ifndef NFMETER_SERVICE_FLOW_FLOW_NOTICES_H_
#define NFMETER_SERVICE_FLOW_FLOW_NOTICES_H_

#include <string>
#include <vector>

#include "accounting/flows/flow_reading.h"
#include "accounting/flows/flow_watch.h"
#include "service/gate/call.h"

namespace nfmeter::service {

// Of one call. A value.
class FlowNotices {
 public:
  // `shortened`: prefixes were, to what the caller may see.
  FlowNotices(const Call& call, bool shortened);

  std::vector<std::string> Of(const accounting::FlowReading& reading) const;
  std::vector<std::string> Of(const accounting::FlowFrame& frame) const;

 private:
  std::vector<std::string> of_the_call_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_FLOW_FLOW_NOTICES_H_
