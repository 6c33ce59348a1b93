// SPDX-License-Identifier: GPL-3.0-or-later
// Values that describe what connection tracking knows: flows, what they
// counted, and what a reading of them may leave out.
#ifndef NFMETER_KERNEL_FLOW_TYPES_H_
#define NFMETER_KERNEL_FLOW_TYPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// An address in network order; IPv4 uses the first 4 bytes, the rest is 0.
using FlowAddress = std::array<uint8_t, 16>;

// One direction of a flow, as its packets look.
struct FlowTuple {
  FlowAddress source{};
  FlowAddress destination{};
  // 0 for protocols without ports.
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  // Of ICMP and ICMPv6 only.
  uint16_t icmp_id = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;

  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
};

// What one direction carried. Bytes are those of IP packets, headers of IP
// included; what arrives aggregated (GRO, GSO) counts as one packet.
struct FlowCounts {
  uint64_t packets = 0;
  uint64_t bytes = 0;

  FlowCounts& operator+=(const FlowCounts& other) {
    packets += other.packets;
    bytes += other.bytes;
    return *this;
  }
  friend bool operator==(const FlowCounts&, const FlowCounts&) = default;
};

// Bits of FlowRecord::status (enum ip_conntrack_status of the kernel).
enum FlowStatusBit : uint32_t {
  kFlowExpected = 1 << 0,
  kFlowSeenReply = 1 << 1,
  kFlowAssured = 1 << 2,
  kFlowConfirmed = 1 << 3,
  kFlowSourceNat = 1 << 4,
  kFlowDestinationNat = 1 << 5,
  kFlowDying = 1 << 9,
  kFlowFixedTimeout = 1 << 10,
  kFlowTemplate = 1 << 11,
  kFlowHelper = 1 << 13,
  kFlowOffload = 1 << 14,
  kFlowHardwareOffload = 1 << 15,
};

// FlowRecord::tcp_state (enum tcp_conntrack).
enum class TcpState : uint8_t {
  kNone = 0,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait,
  kCloseWait,
  kLastAck,
  kTimeWait,
  kClose,
  kSynSent2,
};
inline constexpr size_t kTcpStates = 10;

// One flow, both directions. Who sent the first packet is the originator.
struct FlowRecord {
  Family family = Family::kIpv4;
  uint8_t protocol = 0;  // IANA's number
  FlowTuple original;
  FlowTuple reply;  // differs from the reverse of `original` by NAT
  // Nothing when the flow began while accounting was off.
  std::optional<FlowCounts> original_counts;
  std::optional<FlowCounts> reply_counts;
  // Nanoseconds since 1970 by the wall clock; 0 when the flow began while
  // timestamps were off. `stop_ns` only of flows that have ended.
  uint64_t start_ns = 0;
  uint64_t stop_ns = 0;
  // Until it is forgotten, unless more packets come. 0 once it has ended.
  uint32_t timeout_seconds = 0;
  uint32_t status = 0;  // FlowStatusBit
  uint32_t mark = 0;
  // A hash of the kernel's; the same for the next flow with the same tuple as
  // a rule. See FlowIdentity().
  uint32_t id = 0;
  uint16_t zone = 0;
  std::optional<TcpState> tcp_state;
  // 128 bits, bit 0 first (nf_conntrack_labels).
  std::array<uint8_t, 16> labels{};
};

// What tells a flow from every other one: a hash of zone, original tuple, id
// and start. The kernel gives an id again to the next flow of the same tuple
// 999 times of 1,000, so without timestamps that one has the same identity.
uint64_t FlowIdentity(const FlowRecord& flow);

// value & mask == the flow's & mask.
struct FlowBits {
  uint32_t value = 0;
  uint32_t mask = 0xffffffff;

  friend bool operator==(const FlowBits&, const FlowBits&) = default;
};

// What a dump need not bring. A hint: it may bring more. There are no
// addresses in it, because the kernel turns those of IPv6 round, and no zone,
// because kernels before 6.12 pass over it without a word.
struct FlowDumpFilter {
  std::optional<Family> family;
  std::optional<uint8_t> protocol;  // looked at only together with a family
  std::optional<FlowBits> mark;

  bool has_any() const { return family.has_value() || mark.has_value(); }
  friend bool operator==(const FlowDumpFilter&,
                         const FlowDumpFilter&) = default;
};

// How connection tracking is set up in this network namespace.
struct FlowTracking {
  bool accounting = false;  // new flows get counters
  bool timestamps = false;  // new flows get a start time
  // nf_conntrack_events: 0 none; 1 of all flows; 2 of flows that began while
  // somebody listened.
  int events = 0;
  uint32_t flows = 0;      // now
  uint32_t max_flows = 0;  // new ones are refused beyond
  // Of the hash table, which all network namespaces share.
  uint32_t buckets = 0;

  friend bool operator==(const FlowTracking&, const FlowTracking&) = default;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FLOW_TYPES_H_
