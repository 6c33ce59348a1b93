// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes <-> requests and answers of the kernel's nf_conntrack_netlink. Pure: no
// system calls, and nothing outside the given spans is read.
//
// Layout: include/uapi/linux/netfilter/nfnetlink_conntrack.h; numbers inside
// attributes are big-endian, those of CTA_FILTER excepted.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_FLOW_CODEC_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_FLOW_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "kernel/flow_types.h"

namespace nfmeter::kernel {

// Appends a request that is answered by flows and a kDone. Never the zeroing
// form (GET_CTRZERO), which loses counts.
void AppendFlowDump(const FlowDumpFilter& filter, uint32_t sequence,
                    std::string& out);

// Appends a request for how many flows there are, which the kernel answers from
// a number that it keeps, and acknowledges. It tells whether it can be asked.
void AppendFlowCount(uint32_t sequence, std::string& out);

// One message from the kernel.
struct FlowMessage {
  enum class Kind {
    kFlow,   // `flow` is set
    kDeath,  // the same, of one that has ended
    kError,  // `err` is set; 0 acknowledges
    kDone,   // the end of a dump; `err` is set, 0 when it went well
    kOther,  // not for us, or not readable as any of these
  };
  Kind kind = Kind::kOther;
  uint32_t sequence = 0;
  bool dump_interrupted = false;  // NLM_F_DUMP_INTR
  int err = 0;                    // positive errno
  FlowRecord flow;
};

// Walks over the messages of one datagram, which must outlive it. Attributes
// that are unknown or have an unexpected size are passed over; a flow without
// an original tuple of a family that we know is kOther. The walk ends at the
// first message whose length is impossible.
class FlowMessageReader {
 public:
  explicit FlowMessageReader(absl::Span<const uint8_t> datagram)
      : rest_(datagram) {}

  // The next message, which stands until the one after it is asked for; null
  // at the end.
  const FlowMessage* Next();

 private:
  absl::Span<const uint8_t> rest_;
  FlowMessage message_;  // filled anew by each Next()
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CONNTRACK_FLOW_CODEC_H_
