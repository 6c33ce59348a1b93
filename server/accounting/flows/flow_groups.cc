// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_groups.h"

#include <string.h>

#include <algorithm>
#include <tuple>

namespace nfmeter::accounting {
namespace {

using kernel::FlowAddress;

FlowAddress Cut(const FlowAddress& address, size_t bits) {
  FlowAddress cut{};
  const size_t bytes = bits / 8;
  std::copy_n(address.begin(), bytes, cut.begin());
  if (bits % 8 != 0) {
    cut[bytes] = address[bytes] & static_cast<uint8_t>(0xff00u >> (bits % 8));
  }
  return cut;
}

uint64_t Worth(FlowOrder order, const FlowSums& sums) {
  switch (order) {
    case FlowOrder::kBytes:
      return sums.bytes();
    case FlowOrder::kPackets:
      return sums.packets();
    case FlowOrder::kFlows:
      return sums.flows;
  }
  return 0;
}

auto Sorted(const FlowGroupKey& key) {
  return std::tie(key.family, key.source, key.destination, key.protocol,
                  key.source_port, key.destination_port, key.mark, key.zone,
                  key.tcp_state);
}

}  // namespace

FlowGroupKey KeyOf(const FlowGrouping& grouping,
                   const kernel::FlowRecord& flow) {
  FlowGroupKey key;
  const bool is_ipv4 = flow.family == kernel::Family::kIpv4;
  if (grouping.source.has_value()) {
    key.family = flow.family;
    key.source = Cut(flow.original.source,
                     is_ipv4 ? grouping.source->ipv4 : grouping.source->ipv6);
  }
  if (grouping.destination.has_value()) {
    key.family = flow.family;
    key.destination =
        Cut(flow.original.destination,
            is_ipv4 ? grouping.destination->ipv4 : grouping.destination->ipv6);
  }
  if (grouping.source_port) key.source_port = flow.original.source_port;
  if (grouping.destination_port) {
    key.destination_port = flow.original.destination_port;
  }
  if (grouping.protocol) key.protocol = flow.protocol;
  if (grouping.mark) key.mark = flow.mark;
  if (grouping.zone) key.zone = flow.zone;
  if (grouping.tcp_state) {
    key.tcp_state = flow.tcp_state.value_or(kernel::TcpState::kNone);
  }
  return key;
}

FlowSums& FlowSums::operator+=(const FlowSums& other) {
  flows += other.flows;
  flows_without_counters += other.flows_without_counters;
  ended_flows += other.ended_flows;
  original += other.original;
  reply += other.reply;
  return *this;
}

FlowSums SumsOf(const kernel::FlowRecord& flow) {
  FlowSums sums = {.flows = 1};
  if (flow.original_counts.has_value()) {
    sums.original = *flow.original_counts;
    if (flow.reply_counts.has_value()) sums.reply = *flow.reply_counts;
  } else {
    sums.flows_without_counters = 1;
  }
  return sums;
}

void FlowGroups::Add(const kernel::FlowRecord& flow, const FlowSums& sums) {
  AddTo(KeyOf(grouping_, flow), sums);
}

void FlowGroups::Add(const FlowGroups& other) {
  for (const auto& [key, sums] : other.groups_) AddTo(key, sums);
  ungrouped_ += other.ungrouped_;
}

void FlowGroups::AddTo(const FlowGroupKey& key, const FlowSums& sums) {
  if (groups_.size() < max_groups_) {
    groups_[key] += sums;
    return;
  }
  const auto found = groups_.find(key);
  (found == groups_.end() ? ungrouped_ : found->second) += sums;
}

void FlowGroups::Clear() {
  groups_.clear();
  ungrouped_ = {};
}

FlowRanking FlowGroups::Rank(FlowOrder order, size_t limit) const {
  FlowRanking ranking = {.other = ungrouped_,
                         .total = ungrouped_,
                         .groups_found = groups_.size(),
                         .ungrouped_flows = ungrouped_.flows};
  ranking.groups.reserve(groups_.size());
  for (const auto& [key, sums] : groups_) {
    ranking.groups.push_back({key, sums});
    ranking.total += sums;
  }
  const auto larger = [order](const FlowGroup& a, const FlowGroup& b) {
    const uint64_t worth_a = Worth(order, a.sums);
    const uint64_t worth_b = Worth(order, b.sums);
    return worth_a != worth_b ? worth_a > worth_b
                              : Sorted(a.key) < Sorted(b.key);
  };
  auto& groups = ranking.groups;
  const size_t kept = std::min(limit, groups.size());
  std::partial_sort(groups.begin(), groups.begin() + kept, groups.end(),
                    larger);
  for (size_t i = kept; i < groups.size(); ++i) ranking.other += groups[i].sums;
  groups.resize(kept);
  return ranking;
}

}  // namespace nfmeter::accounting
