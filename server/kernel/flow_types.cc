// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/flow_types.h"

#include "absl/hash/hash.h"

namespace nfmeter::kernel {

uint64_t FlowIdentity(const FlowRecord& flow) {
  const FlowTuple& tuple = flow.original;
  return absl::HashOf(flow.family, flow.protocol, flow.zone, flow.id,
                      flow.start_ns, tuple.source, tuple.destination,
                      tuple.source_port, tuple.destination_port, tuple.icmp_id,
                      tuple.icmp_type, tuple.icmp_code);
}

}  // namespace nfmeter::kernel
