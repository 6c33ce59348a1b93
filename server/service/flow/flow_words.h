// SPDX-License-Identifier: GPL-3.0-or-later
// Flows, their sums and readings as messages.
#ifndef NFMETER_SERVICE_FLOW_FLOW_WORDS_H_
#define NFMETER_SERVICE_FLOW_FLOW_WORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "accounting/flows/flow_groups.h"
#include "accounting/flows/flow_reading.h"
#include "accounting/flows/flow_watch.h"
#include "kernel/flow_types.h"
#include "nfmeter/v1/flow.pb.h"
#include "service/gate/call.h"

namespace nfmeter::service {

// The kernel's bit for a v1::FlowStatus; 0: none.
uint32_t StatusBit(int status);

void ToProto(const kernel::FlowRecord& flow, v1::Flow* proto);
void ToProto(const accounting::FlowGrouping& grouping, v1::FlowGrouping* proto);
// `grouping` says which fields of the keys mean something.
void ToProto(const accounting::FlowRanking& ranking,
             const accounting::FlowGrouping& grouping, v1::FlowRanking* proto);
void ToProto(const accounting::FlowLosses& losses, v1::FlowLosses* proto);
void ToProto(const accounting::FlowReading& reading,
             const std::vector<std::string>& notices, v1::FlowReading* proto);

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

#endif  // NFMETER_SERVICE_FLOW_FLOW_WORDS_H_
