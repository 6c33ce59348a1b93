// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/match_text.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernel/ip_prefix.h"

namespace nfmeter::accounting {
namespace {

using kernel::Negatable;

std::string Text(uint64_t number) { return absl::StrCat(number); }
// With its length, so that the text of one name is never that of two.
std::string Text(const std::string& name) {
  return absl::StrCat(name.size(), "'", name);
}
std::string Text(const kernel::IpPrefix& prefix) {
  return kernel::FormatIpPrefix(prefix);
}
template <typename T>
std::string Text(const kernel::Range<T>& range) {
  return absl::StrCat(range.first, "-", range.last);
}
std::string Text(const std::vector<kernel::PortRange>& ranges) {
  std::string text;
  for (const kernel::PortRange& range : ranges) {
    absl::StrAppend(&text, Text(range), ",");
  }
  return text;
}
std::string Text(const kernel::Icmp& icmp) {
  return absl::StrCat(icmp.type, "/", icmp.code.has_value() ? *icmp.code : -1);
}
std::string Text(const kernel::Mark& mark) {
  return absl::StrCat(mark.value, "/", mark.mask);
}
std::string Text(const kernel::IpSet& set) {
  std::string text = Text(set.name);
  for (const kernel::IpSetDirection direction : set.directions) {
    absl::StrAppend(&text, static_cast<int>(direction), ",");
  }
  return text;
}
std::string Text(kernel::PacketType type) {
  return absl::StrCat(static_cast<int>(type));
}
std::string Text(const kernel::TcpFlags& flags) {
  return absl::StrCat(flags.mask, "/", flags.set);
}

template <typename T>
void Append(std::string& text, absl::string_view field,
            const std::optional<Negatable<T>>& condition) {
  if (!condition.has_value()) return;
  absl::StrAppend(&text, field, condition->negated ? "!" : "=",
                  Text(condition->value), ";");
}

}  // namespace

std::string MatchText(const kernel::RuleMatch& match) {
  std::string text;
  Append(text, "p", match.protocol);
  Append(text, "s", match.source);
  Append(text, "d", match.destination);
  Append(text, "i", match.in_interface);
  Append(text, "o", match.out_interface);
  Append(text, "sp", match.source_ports);
  Append(text, "dp", match.destination_ports);
  Append(text, "icmp", match.icmp);
  Append(text, "ct", match.conntrack_states);
  Append(text, "mark", match.mark);
  Append(text, "uid", match.owner_uid);
  Append(text, "gid", match.owner_gid);
  Append(text, "cgroup", match.cgroup_path);
  Append(text, "set", match.ip_set);
  Append(text, "dscp", match.dscp);
  Append(text, "type", match.packet_type);
  Append(text, "srctype", match.source_address_types);
  Append(text, "dsttype", match.destination_address_types);
  Append(text, "flags", match.tcp_flags);
  if (!match.comment.empty()) absl::StrAppend(&text, "c=", Text(match.comment));
  return text;
}

}  // namespace nfmeter::accounting
