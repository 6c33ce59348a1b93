// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_flags.h"

#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/match_values.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

absl::Status Wrong(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", what));
}

// `what` says what the word is not: "state of TCP".
absl::StatusOr<int> ReadWord(const google::protobuf::EnumDescriptor* type,
                             absl::string_view word, absl::string_view flag,
                             absl::string_view what) {
  if (const int value = FindEnumWord(type, word); value != 0) return value;
  return Wrong(flag, absl::StrCat("'", word, "' is no ", what, "; there are ",
                                  absl::StrJoin(EnumWords(type), ", ")));
}

absl::Status ReadPorts(
    absl::string_view flag, const std::string& text,
    google::protobuf::RepeatedPtrField<v1::FlowPortRange>* ranges) {
  if (text.empty()) return absl::OkStatus();
  PortRanges parsed;
  if (absl::Status status = ParsePorts(text, parsed); !status.ok()) {
    return Wrong(flag, status.message());
  }
  for (const v1::PortRange& range : parsed) {
    v1::FlowPortRange* const added = ranges->Add();
    added->set_first(range.first());
    added->set_last(range.last());
  }
  return absl::OkStatus();
}

absl::Status ReadStates(const std::string& text, v1::FlowFilter& filter) {
  for (const absl::string_view word :
       absl::StrSplit(text, ',', absl::SkipEmpty())) {
    NFM_ASSIGN_OR_RETURN(const int state,
                         ReadWord(v1::FlowTcpState_descriptor(), word,
                                  "--state", "state of TCP"));
    filter.add_tcp_states(static_cast<v1::FlowTcpState>(state));
  }
  return absl::OkStatus();
}

// "ASSURED,!OFFLOAD"
absl::Status ReadStatus(const std::string& text, v1::FlowFilter& filter) {
  for (absl::string_view word : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const bool without = absl::ConsumePrefix(&word, "!");
    NFM_ASSIGN_OR_RETURN(const int value,
                         ReadWord(v1::FlowStatus_descriptor(), word, "--status",
                                  "status of a flow"));
    const auto status = static_cast<v1::FlowStatus>(value);
    without ? filter.add_without_status(status) : filter.add_status(status);
  }
  return absl::OkStatus();
}

absl::Status ReadMark(const std::string& text, v1::FlowFilter& filter) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<v1::MarkMatch> mark = ParseMark(text);
  if (!mark.ok()) return Wrong("--mark", mark.status().message());
  filter.mutable_mark()->set_value(mark->value());
  if (mark->has_mask()) filter.mutable_mark()->set_mask(mark->mask());
  return absl::OkStatus();
}

// "src/24/48" -> 24 and 48
absl::Status ReadLengths(absl::Span<const std::string> parts,
                         absl::string_view part,
                         v1::FlowPrefixLengths* lengths) {
  uint32_t numbers[2] = {};
  for (size_t i = 1; i < parts.size(); ++i) {
    if (i > 2 || !absl::SimpleAtoi(parts[i], &numbers[i - 1])) {
      return Wrong("--by", absl::StrCat("'", part, "' is not a prefix such as ",
                                        parts[0], "/24, or ", parts[0],
                                        "/24/48 with that of IPv6"));
    }
  }
  if (parts.size() > 1) lengths->set_ipv4(numbers[0]);
  if (parts.size() > 2) lengths->set_ipv6(numbers[1]);
  return absl::OkStatus();
}

}  // namespace

void AddFlowFilterFlags(CommandTree& tree, CLI::App& command,
                        FlowFilterFlags& flags) {
  AddText(command, "--src,--source", flags.source, "PREFIX",
          "only flows whose first packet came from here, before or "
          "after NAT");
  AddText(command, "--dst,--destination", flags.destination, "PREFIX",
          "only those that went here, before or after NAT");
  AddText(command, "--addr,--address", flags.address, "PREFIX",
          "only those with this at either end");
  AddText(command, "--sport", flags.source_ports, "PORTS",
          "ports: 80 or 80,443,1000:2000 or names of services");
  AddText(command, "--dport", flags.destination_ports, "PORTS", "ports");
  AddText(command, "--port", flags.ports, "PORTS", "ports of either end");
  tree.Suggest(AddText(command, "-p,--proto", flags.protocol, "PROTOCOL",
                       "tcp, udp, icmp, icmpv6, ... or a number"),
               Choices({"tcp", "udp", "icmp", "icmpv6"}));
  AddText(command, "--mark", flags.mark, "MARK", "ct mark: 1, 0x1 or 0x1/0xff");
  AddText(command, "--zone", flags.zone, "N", "ct zone");
  tree.Suggest(AddText(command, "--state", flags.states, "STATES",
                       "states of TCP: ESTABLISHED,TIME_WAIT"),
               Choices(EnumWords(v1::FlowTcpState_descriptor())));
  tree.Suggest(AddText(command, "--status", flags.status, "STATUS",
                       "bits of its status that are set, or with ! are "
                       "not: ASSURED,!OFFLOAD"),
               Choices(EnumWords(v1::FlowStatus_descriptor())));
  auto* const ipv4 = command.add_flag("-4,--ipv4", flags.ipv4, "only IPv4");
  command.add_flag("-6,--ipv6", flags.ipv6, "only IPv6")->excludes(ipv4);
}

absl::StatusOr<v1::FlowFilter> ReadFlowFilter(const FlowFilterFlags& flags) {
  v1::FlowFilter filter;
  filter.set_source(flags.source);
  filter.set_destination(flags.destination);
  filter.set_address(flags.address);
  filter.set_protocol(flags.protocol);
  if (flags.ipv4 || flags.ipv6) filter.set_ip_version(flags.ipv4 ? 4 : 6);
  for (const absl::Status& status :
       {ReadPorts("--sport", flags.source_ports, filter.mutable_source_ports()),
        ReadPorts("--dport", flags.destination_ports,
                  filter.mutable_destination_ports()),
        ReadPorts("--port", flags.ports, filter.mutable_ports()),
        ReadMark(flags.mark, filter), ReadStates(flags.states, filter),
        ReadStatus(flags.status, filter)}) {
    if (!status.ok()) return status;
  }
  if (!flags.zone.empty()) {
    uint32_t zone = 0;
    if (!absl::SimpleAtoi(flags.zone, &zone)) {
      return Wrong("--zone", absl::StrCat("'", flags.zone, "' is no number"));
    }
    filter.set_zone(zone);
  }
  return filter;
}

absl::StatusOr<v1::FlowGrouping> ParseFlowGrouping(absl::string_view text) {
  v1::FlowGrouping grouping;
  std::set<std::string> given;
  for (const absl::string_view part :
       absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(part, '/');
    absl::Status status;
    if (!given.insert(parts[0]).second) {
      status = Wrong("--by", absl::StrCat("'", parts[0], "' is given twice"));
    } else if (parts[0] == "src") {
      status = ReadLengths(parts, part, grouping.mutable_source());
    } else if (parts[0] == "dst") {
      status = ReadLengths(parts, part, grouping.mutable_destination());
    } else if (part == "sport") {
      grouping.set_source_port(true);
    } else if (part == "dport") {
      grouping.set_destination_port(true);
    } else if (part == "proto") {
      grouping.set_protocol(true);
    } else if (part == "mark") {
      grouping.set_mark(true);
    } else if (part == "zone") {
      grouping.set_zone(true);
    } else if (part == "state") {
      grouping.set_tcp_state(true);
    } else {
      status = Wrong("--by", absl::StrCat("'", part,
                                          "' is none of src, dst, sport, "
                                          "dport, proto, mark, zone, state"));
    }
    if (!status.ok()) return status;
  }
  return grouping;
}

}  // namespace nfmeter::cli
