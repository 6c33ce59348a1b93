// SPDX-License-Identifier: GPL-3.0-or-later
// Flows summed by what they have in common, while they are read.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_GROUPS_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel/flow_types.h"

namespace nfmeter::accounting {

// How many leading bits of an address count: 0 to 32, 0 to 128.
struct FlowPrefixLengths {
  uint8_t ipv4 = 32;
  uint8_t ipv6 = 128;

  friend bool operator==(const FlowPrefixLengths&,
                         const FlowPrefixLengths&) = default;
};

// What flows of one group have in common. Addresses and ports are those of the
// original direction, before NAT.
struct FlowGrouping {
  std::optional<FlowPrefixLengths> source;
  std::optional<FlowPrefixLengths> destination;
  bool source_port = false;
  bool destination_port = false;
  bool protocol = false;
  bool mark = false;
  bool zone = false;
  bool tcp_state = false;

  friend bool operator==(const FlowGrouping&, const FlowGrouping&) = default;
};

// What a group's flows have in common; what the grouping does not name is 0.
struct FlowGroupKey {
  kernel::FlowAddress source{};
  kernel::FlowAddress destination{};
  uint32_t mark = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t zone = 0;
  // Told apart only where addresses are; else IPv4.
  kernel::Family family = kernel::Family::kIpv4;
  uint8_t protocol = 0;
  kernel::TcpState tcp_state = kernel::TcpState::kNone;

  friend bool operator==(const FlowGroupKey&, const FlowGroupKey&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const FlowGroupKey& key) {
    return H::combine(std::move(h), key.source, key.destination, key.mark,
                      key.source_port, key.destination_port, key.zone,
                      key.family, key.protocol, key.tcp_state);
  }
};

// The key of a flow's group.
FlowGroupKey KeyOf(const FlowGrouping& grouping,
                   const kernel::FlowRecord& flow);

// What the flows of a group add up to.
struct FlowSums {
  uint64_t flows = 0;
  // Of `flows`: those that count nothing, as accounting was off when they
  // began.
  uint64_t flows_without_counters = 0;
  uint64_t ended_flows = 0;  // of `flows` or of others, since the time before
  kernel::FlowCounts original;
  kernel::FlowCounts reply;

  uint64_t packets() const { return original.packets + reply.packets; }
  uint64_t bytes() const { return original.bytes + reply.bytes; }

  FlowSums& operator+=(const FlowSums& other);
  friend bool operator==(const FlowSums&, const FlowSums&) = default;
};

// What a flow is worth by its own counters.
FlowSums SumsOf(const kernel::FlowRecord& flow);

struct FlowGroup {
  FlowGroupKey key;
  FlowSums sums;
};

enum class FlowOrder { kBytes, kPackets, kFlows };

// The largest groups, and what became of the others.
struct FlowRanking {
  std::vector<FlowGroup> groups;  // largest first
  FlowSums other;                 // of the groups that are not listed
  FlowSums total;
  uint64_t groups_found = 0;
  // Flows that belong to no group because there would have been too many; they
  // are in `other`. A group that is listed may lack none of its flows: which
  // groups there are is decided by who comes first.
  uint64_t ungrouped_flows = 0;
};

// Sums flows by group; memory is bounded by `max_groups`, whatever the number
// of flows. Not thread-safe.
class FlowGroups {
 public:
  FlowGroups(const FlowGrouping& grouping, size_t max_groups)
      : grouping_(grouping), max_groups_(max_groups) {}

  // Adds `sums` to the group of `flow`.
  void Add(const kernel::FlowRecord& flow, const FlowSums& sums);
  // Adds all of another of the same grouping.
  void Add(const FlowGroups& other);
  void Clear();

  bool empty() const { return groups_.empty() && ungrouped_.flows == 0; }

  // The `limit` largest; equal ones in the order of their keys.
  FlowRanking Rank(FlowOrder order, size_t limit) const;

 private:
  void AddTo(const FlowGroupKey& key, const FlowSums& sums);

  FlowGrouping grouping_;
  size_t max_groups_;
  absl::flat_hash_map<FlowGroupKey, FlowSums> groups_;
  FlowSums ungrouped_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_GROUPS_H_
