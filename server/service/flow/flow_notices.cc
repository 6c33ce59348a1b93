// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_notices.h"

#include "absl/strings/str_cat.h"

namespace nfmeter::service {

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
