// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel's nf_conntrack_netlink sends.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernel/linux/conntrack/flow_codec.h"

using nfmeter::kernel::FlowMessage;
using nfmeter::kernel::FlowMessageReader;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FlowMessageReader reader({data, size});
  size_t messages = 0;
  while (const FlowMessage* message = reader.Next()) {
    // A message is never shorter than its header.
    if (++messages > size / 16) abort();
    if (message->flow.tcp_state.has_value() &&
        static_cast<size_t>(*message->flow.tcp_state) >=
            nfmeter::kernel::kTcpStates) {
      abort();
    }
  }
  return 0;
}
