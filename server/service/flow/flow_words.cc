// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_words.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "kernel/ip_prefix.h"
#include "service/gate/flow_tracking_message.h"
#include "service/gate/protocol_words.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

using accounting::FlowGrouping;
using accounting::FlowGroupKey;
using accounting::FlowSums;
using kernel::Family;

struct StatusWord {
  v1::FlowStatus status;
  uint32_t bit;
};
constexpr StatusWord kStatusWords[] = {
    {v1::FLOW_STATUS_EXPECTED, kernel::kFlowExpected},
    {v1::FLOW_STATUS_SEEN_REPLY, kernel::kFlowSeenReply},
    {v1::FLOW_STATUS_ASSURED, kernel::kFlowAssured},
    {v1::FLOW_STATUS_CONFIRMED, kernel::kFlowConfirmed},
    {v1::FLOW_STATUS_SOURCE_NAT, kernel::kFlowSourceNat},
    {v1::FLOW_STATUS_DESTINATION_NAT, kernel::kFlowDestinationNat},
    {v1::FLOW_STATUS_DYING, kernel::kFlowDying},
    {v1::FLOW_STATUS_HELPER, kernel::kFlowHelper},
    {v1::FLOW_STATUS_OFFLOAD, kernel::kFlowOffload},
    {v1::FLOW_STATUS_HARDWARE_OFFLOAD, kernel::kFlowHardwareOffload},
};

// The states have the kernel's numbers.
static_assert(v1::FLOW_TCP_STATE_SYN_SENT2 ==
              static_cast<int>(kernel::TcpState::kSynSent2));

void ToProto(Family family, const kernel::FlowTuple& tuple,
             v1::FlowTuple* proto) {
  proto->set_source_address(kernel::FormatAddress(family, tuple.source.data()));
  proto->set_destination_address(
      kernel::FormatAddress(family, tuple.destination.data()));
  proto->set_source_port(tuple.source_port);
  proto->set_destination_port(tuple.destination_port);
  proto->set_icmp_id(tuple.icmp_id);
  proto->set_icmp_type(tuple.icmp_type);
  proto->set_icmp_code(tuple.icmp_code);
}

void ToProto(const kernel::FlowCounts& counts, v1::FlowCounts* proto) {
  proto->set_packets(counts.packets);
  proto->set_bytes(counts.bytes);
}

void ToProto(const FlowSums& sums, v1::FlowSums* proto) {
  proto->set_flows(sums.flows);
  proto->set_flows_without_counters(sums.flows_without_counters);
  proto->set_ended_flows(sums.ended_flows);
  ToProto(sums.original, proto->mutable_original());
  ToProto(sums.reply, proto->mutable_reply());
}

std::string PrefixText(Family family, const kernel::FlowAddress& address,
                       const accounting::FlowPrefixLengths& lengths) {
  return absl::StrCat(kernel::FormatAddress(family, address.data()), "/",
                      family == Family::kIpv4 ? lengths.ipv4 : lengths.ipv6);
}

void ToProto(const FlowGroupKey& key, const FlowGrouping& grouping,
             v1::FlowGroup* proto) {
  if (grouping.source.has_value()) {
    proto->set_source(PrefixText(key.family, key.source, *grouping.source));
  }
  if (grouping.destination.has_value()) {
    proto->set_destination(
        PrefixText(key.family, key.destination, *grouping.destination));
  }
  proto->set_source_port(key.source_port);
  proto->set_destination_port(key.destination_port);
  if (grouping.protocol) proto->set_protocol(ProtocolText(key.protocol));
  proto->set_mark(key.mark);
  proto->set_zone(key.zone);
  proto->set_tcp_state(static_cast<v1::FlowTcpState>(key.tcp_state));
}

void ToProto(const accounting::FlowPrefixLengths& lengths,
             v1::FlowPrefixLengths* proto) {
  proto->set_ipv4(lengths.ipv4);
  proto->set_ipv6(lengths.ipv6);
}

}  // namespace

uint32_t StatusBit(int status) {
  for (const StatusWord& word : kStatusWords) {
    if (word.status == status) return word.bit;
  }
  return 0;
}

void ToProto(const kernel::FlowRecord& flow, v1::Flow* proto) {
  proto->set_protocol(ProtocolText(flow.protocol));
  proto->set_protocol_number(flow.protocol);
  ToProto(flow.family, flow.original, proto->mutable_original());
  ToProto(flow.family, flow.reply, proto->mutable_reply());
  if (flow.original_counts.has_value()) {
    ToProto(*flow.original_counts, proto->mutable_original_counts());
  }
  if (flow.reply_counts.has_value()) {
    ToProto(*flow.reply_counts, proto->mutable_reply_counts());
  }
  if (flow.start_ns != 0) {
    service::ToProto(absl::FromUnixNanos(static_cast<int64_t>(flow.start_ns)),
                     proto->mutable_start_time());
  }
  proto->mutable_timeout()->set_seconds(flow.timeout_seconds);
  for (const StatusWord& word : kStatusWords) {
    if ((flow.status & word.bit) != 0) proto->add_status(word.status);
  }
  if (flow.tcp_state.has_value()) {
    proto->set_tcp_state(static_cast<v1::FlowTcpState>(*flow.tcp_state));
  }
  proto->set_mark(flow.mark);
  proto->set_zone(flow.zone);
  for (size_t i = 0; i < flow.labels.size() * 8; ++i) {
    if ((flow.labels[i / 8] >> (i % 8) & 1) != 0) {
      proto->add_labels(static_cast<uint32_t>(i));
    }
  }
  proto->set_id(flow.id);
}

void ToProto(const FlowGrouping& grouping, v1::FlowGrouping* proto) {
  if (grouping.source.has_value()) {
    ToProto(*grouping.source, proto->mutable_source());
  }
  if (grouping.destination.has_value()) {
    ToProto(*grouping.destination, proto->mutable_destination());
  }
  proto->set_source_port(grouping.source_port);
  proto->set_destination_port(grouping.destination_port);
  proto->set_protocol(grouping.protocol);
  proto->set_mark(grouping.mark);
  proto->set_zone(grouping.zone);
  proto->set_tcp_state(grouping.tcp_state);
}

void ToProto(const accounting::FlowRanking& ranking,
             const FlowGrouping& grouping, v1::FlowRanking* proto) {
  for (const accounting::FlowGroup& group : ranking.groups) {
    v1::FlowGroup* const added = proto->add_groups();
    ToProto(group.key, grouping, added);
    ToProto(group.sums, added->mutable_sums());
  }
  ToProto(ranking.other, proto->mutable_other());
  ToProto(ranking.total, proto->mutable_total());
  proto->set_group_count(ranking.groups_found);
  proto->set_ungrouped_flows(ranking.ungrouped_flows);
}

void ToProto(const accounting::FlowLosses& losses, v1::FlowLosses* proto) {
  proto->set_lost_ends(losses.lost_ends);
  proto->set_awaited_ends(losses.findings.awaited);
  proto->set_vanished_flows(losses.findings.vanished);
  proto->set_zeroed_flows(losses.findings.went_back);
  proto->set_unwatched_flows(losses.findings.untracked);
}

void ToProto(const accounting::FlowReading& reading,
             const std::vector<std::string>& notices, v1::FlowReading* proto) {
  service::ToProto(reading.wall_time, proto->mutable_read_time());
  service::ToProto(reading.boottime, proto->mutable_boottime());
  proto->set_complete(reading.complete);
  ToProto(reading.tracking, proto->mutable_tracking());
  for (const std::string& notice : notices) proto->add_notices(notice);
}

FlowNotices::FlowNotices(const Call& call, bool shortened) {
  if (shortened) {
    of_the_call_.push_back(absl::StrCat(
        "Addresses are shortened to /", call.caller->flows.ipv4_bits,
        " (IPv4) and /", call.caller->flows.ipv6_bits,
        " (IPv6): the caller's grant says 'flows: summary'."));
  }
  if (!call.scope().has_all()) {
    of_the_call_.push_back(
        "The counter prefixes of the caller's grants do not narrow flows: "
        "these are of the whole network namespace.");
  }
}

std::vector<std::string> FlowNotices::Of(
    const accounting::FlowReading& reading) const {
  std::vector<std::string> notices = of_the_call_;
  if (!reading.tracking.accounting) {
    notices.push_back(
        "Connection tracking counts no packets here: start nfmeterd with "
        "--enable-flow-accounting, or set sysctl "
        "net.netfilter.nf_conntrack_acct=1 in this network namespace. Flows "
        "that are older than that stay without counters.");
  }
  if (reading.tracking.flows == 0) {
    notices.push_back(
        "There are no flows. If there is traffic, no rule makes connection "
        "tracking active in this network namespace: it sleeps until a rule "
        "uses it ('iptables -m conntrack', 'ct state' in nft, or NAT).");
  }
  if (!reading.complete) {
    notices.push_back(
        "The kernel's table was resized while it was read: flows may be "
        "missing or doubled. Ask again.");
  }
  return notices;
}

std::vector<std::string> FlowNotices::Of(
    const accounting::FlowFrame& frame) const {
  std::vector<std::string> notices = Of(frame.until);
  if (frame.losses.no_ends) {
    notices.push_back(
        "The kernel tells of no ends of flows (sysctl "
        "net.netfilter.nf_conntrack_events=0): what flows carry after they "
        "were last read is missing.");
  }
  if (frame.losses.lost_ends > 0) {
    notices.push_back(
        absl::StrCat("The kernel dropped the ends of ", frame.losses.lost_ends,
                     " flows, as they came faster than they were read."));
  }
  const auto& findings = frame.losses.findings;
  if (findings.awaited > 0) {
    notices.push_back(absl::StrCat(
        findings.awaited,
        " flows have gone, and the kernel has not told of their ends: what "
        "they carried last is missing. With sysctl "
        "net.netfilter.nf_conntrack_events=1 it tells of the end of every flow "
        "that begins from then on."));
  }
  if (findings.vanished > 0) {
    notices.push_back(absl::StrCat("The ends of ", findings.vanished,
                                   " flows that went before were not told "
                                   "since: what they carried last stays "
                                   "missing."));
  }
  if (frame.losses.findings.went_back > 0) {
    notices.push_back(absl::StrCat(
        "The counters of ", frame.losses.findings.went_back,
        " flows were zeroed by somebody ('conntrack -Z' does that, and some "
        "collectors)."));
  }
  return notices;
}

}  // namespace nfmeter::service
