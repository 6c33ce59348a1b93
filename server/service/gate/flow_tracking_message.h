// SPDX-License-Identifier: GPL-3.0-or-later
// How connection tracking is set up, as a message.
#ifndef NFMETER_SERVICE_GATE_FLOW_TRACKING_MESSAGE_H_
#define NFMETER_SERVICE_GATE_FLOW_TRACKING_MESSAGE_H_

#include "kernel/flow_types.h"
#include "nfmeter/v1/flow.pb.h"

namespace nfmeter::service {

inline void ToProto(const kernel::FlowTracking& tracking,
                    v1::FlowTracking* proto) {
  proto->set_accounting(tracking.accounting);
  proto->set_timestamps(tracking.timestamps);
  proto->set_events(tracking.events != 0);
  proto->set_flow_count(tracking.flows);
  proto->set_max_flows(tracking.max_flows);
}

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_FLOW_TRACKING_MESSAGE_H_
