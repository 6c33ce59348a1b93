// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_views.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/views.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

bool IsIpv6(const v1::Flow& flow) {
  return absl::StrContains(flow.original().source_address(), ':');
}

// "10.0.0.1:80", "[2001:db8::1]:443", "10.0.0.1" without ports.
std::string EndText(const std::string& address, uint32_t port) {
  const std::string host = absl::StrContains(address, ':')
                               ? absl::StrCat("[", address, "]")
                               : address;
  return port == 0 ? address : absl::StrCat(host, ":", port);
}

std::string StateText(v1::FlowTcpState state, Layout layout) {
  if (state != v1::FLOW_TCP_STATE_UNSPECIFIED) return EnumWord(state);
  return layout == kCsv ? "" : "-";
}

// A count of one direction; nothing where the flow has no counters.
Column<v1::Flow> CountColumn(const char* heading, const char* key, bool bytes,
                             int leave_out,
                             const v1::FlowCounts* (*get)(const v1::Flow&)) {
  return {heading,
          key,
          kAll,
          Align::kRight,
          [bytes, get](const v1::Flow& flow, Layout layout) -> Cell {
            const v1::FlowCounts* const counts = get(flow);
            if (counts == nullptr) return {layout == kCsv ? "" : "-"};
            return {bytes ? BytesText(counts->bytes(), layout)
                          : CountText(counts->packets(), layout)};
          },
          leave_out};
}

const v1::FlowCounts* There(const v1::Flow& flow) {
  return flow.has_original_counts() ? &flow.original_counts() : nullptr;
}
const v1::FlowCounts* Back(const v1::Flow& flow) {
  return flow.has_reply_counts() ? &flow.reply_counts() : nullptr;
}

// One end of a flow, as packets of one direction name it.
struct End {
  const std::string& Address(const v1::Flow& flow) const {
    return ((flow.*tuple)().*address)();
  }
  uint32_t Port(const v1::Flow& flow) const {
    return ((flow.*tuple)().*port)();
  }

  const v1::FlowTuple& (v1::Flow::*tuple)() const;
  const std::string& (v1::FlowTuple::*address)() const;
  uint32_t (v1::FlowTuple::*port)() const;
};
constexpr End kSource = {&v1::Flow::original, &v1::FlowTuple::source_address,
                         &v1::FlowTuple::source_port};
constexpr End kDestination = {&v1::Flow::original,
                              &v1::FlowTuple::destination_address,
                              &v1::FlowTuple::destination_port};
// As seen behind NAT: by those who answer.
constexpr End kSourceBehind = {&v1::Flow::reply,
                               &v1::FlowTuple::destination_address,
                               &v1::FlowTuple::destination_port};
constexpr End kDestinationBehind = {&v1::Flow::reply,
                                    &v1::FlowTuple::source_address,
                                    &v1::FlowTuple::source_port};

Column<v1::Flow> EndColumn(const char* heading, unsigned layouts, End end) {
  return {heading, "", layouts, Align::kLeft,
          [end](const v1::Flow& flow, Layout) {
            return EndText(end.Address(flow), end.Port(flow));
          }};
}

// An address of IPFIX: there are two names for each, by version.
Column<v1::Flow> AddressColumn(const char* key, bool ipv6, End end) {
  return {"", key, kCsv, Align::kLeft,
          [ipv6, end](const v1::Flow& flow, Layout) {
            return IsIpv6(flow) == ipv6 ? end.Address(flow) : "";
          }};
}

Column<v1::Flow> PortColumn(const char* key, End end) {
  return {"", key, kCsv, Align::kRight, [end](const v1::Flow& flow, Layout) {
            return absl::StrCat(end.Port(flow));
          }};
}

// Of flows of this protocol; type and code in one number, as IPFIX has it.
Column<v1::Flow> IcmpColumn(const char* key, uint32_t protocol) {
  return {"", key, kCsv, Align::kRight,
          [protocol](const v1::Flow& flow, Layout) -> Cell {
            if (flow.protocol_number() != protocol) return {""};
            return {absl::StrCat(flow.original().icmp_type() * 256 +
                                 flow.original().icmp_code())};
          }};
}

std::string StartMilliseconds(const v1::Flow& flow) {
  if (!flow.has_start_time()) return "";
  return absl::StrCat(flow.start_time().seconds() * 1000 +
                      flow.start_time().nanos() / 1'000'000);
}

std::string StatusText(const v1::Flow& flow) {
  return absl::StrJoin(flow.status(), ",", [](std::string* out, int status) {
    absl::StrAppend(out, EnumWord(v1::FlowStatus_descriptor(), status));
  });
}

std::vector<Column<v1::Flow>> FlowColumns() {
  using F = const v1::Flow&;
  return {
      {"PROTO", "protocolIdentifier", kAll, Align::kLeft,
       [](F f, Layout layout) {
         return layout == kCsv ? absl::StrCat(f.protocol_number())
                               : f.protocol();
       },
       /*leave_out=*/5},
      EndColumn("SOURCE", kText, kSource),
      EndColumn("DESTINATION", kText, kDestination),
      EndColumn("ANSWERS FROM", kWide, kDestinationBehind),
      EndColumn("ANSWERS TO", kWide, kSourceBehind),
      AddressColumn("sourceIPv4Address", false, kSource),
      AddressColumn("destinationIPv4Address", false, kDestination),
      AddressColumn("sourceIPv6Address", true, kSource),
      AddressColumn("destinationIPv6Address", true, kDestination),
      PortColumn("sourceTransportPort", kSource),
      PortColumn("destinationTransportPort", kDestination),
      IcmpColumn("icmpTypeCodeIPv4", 1),
      IcmpColumn("icmpTypeCodeIPv6", 58),
      AddressColumn("postNATSourceIPv4Address", false, kSourceBehind),
      AddressColumn("postNATDestinationIPv4Address", false, kDestinationBehind),
      AddressColumn("postNATSourceIPv6Address", true, kSourceBehind),
      AddressColumn("postNATDestinationIPv6Address", true, kDestinationBehind),
      PortColumn("postNAPTSourceTransportPort", kSourceBehind),
      PortColumn("postNAPTDestinationTransportPort", kDestinationBehind),
      CountColumn("PACKETS", "packetTotalCount", false, 3, There),
      CountColumn("BYTES", "octetTotalCount", true, 0, There),
      CountColumn("BACK PACKETS", "reversePacketTotalCount", false, 2, Back),
      CountColumn("BACK BYTES", "reverseOctetTotalCount", true, 4, Back),
      {"STATE", "tcpState", kAll, Align::kLeft,
       [](F f, Layout layout) { return StateText(f.tcp_state(), layout); },
       /*leave_out=*/1},
      {"START", "flowStartMilliseconds", kDetailed, Align::kLeft,
       [](F f, Layout layout) {
         return layout == kCsv ? StartMilliseconds(f)
                               : TimeText(f.start_time());
       }},
      {"STATUS", "status", kDetailed, Align::kLeft,
       [](F f, Layout) { return StatusText(f); }},
      PlainColumn<v1::Flow>("MARK", "mark", kDetailed, &v1::Flow::mark),
      PlainColumn<v1::Flow>("ZONE", "zone", kDetailed, &v1::Flow::zone),
  };
}

using GroupColumn = Column<v1::FlowGroup>;

// Keys of numbers stand to the left, too.
std::vector<GroupColumn> KeyColumns(const v1::FlowGrouping& grouping) {
  using G = v1::FlowGroup;
  std::vector<GroupColumn> columns;
  const auto add = [&columns](bool is_key, const char* heading, const char* key,
                              auto get) {
    if (!is_key) return;
    columns.push_back(PlainColumn<G>(heading, key, kAll, get));
    columns.back().align = Align::kLeft;
  };
  add(grouping.has_source(), "SOURCE", "source", &G::source);
  add(grouping.has_destination(), "DESTINATION", "destination",
      &G::destination);
  add(grouping.protocol(), "PROTO", "protocol", &G::protocol);
  add(grouping.source_port(), "SPORT", "source_port", &G::source_port);
  add(grouping.destination_port(), "DPORT", "destination_port",
      &G::destination_port);
  add(grouping.mark(), "MARK", "mark", &G::mark);
  add(grouping.zone(), "ZONE", "zone", &G::zone);
  if (grouping.tcp_state()) {
    columns.push_back({"STATE", "tcp_state", kAll, Align::kLeft,
                       [](const G& g, Layout layout) {
                         return StateText(g.tcp_state(), layout);
                       }});
  }
  return columns;
}

void AddSumColumns(bool with_ended, std::vector<GroupColumn>& columns) {
  const auto add = [&columns](const char* heading, const char* key,
                              std::string (*text)(uint64_t, Layout),
                              int leave_out,
                              uint64_t (*get)(const v1::FlowGroup&)) {
    columns.push_back(
        AmountColumn<v1::FlowGroup>(heading, key, kAll, text, get, leave_out));
  };
  using G = const v1::FlowGroup&;
  add(with_ended ? "NEW FLOWS" : "FLOWS", "flows", CountText, 5,
      [](G g) { return g.sums().flows(); });
  if (with_ended) {
    add("ENDED", "ended_flows", CountText, 2,
        [](G g) { return g.sums().ended_flows(); });
  }
  add("UNCOUNTED", "flows_without_counters", CountText, 0,
      [](G g) { return g.sums().flows_without_counters(); });
  columns.back().layouts = kDetailed;
  add("PACKETS", "packets", CountText, 3,
      [](G g) { return g.sums().original().packets(); });
  add("BYTES", "bytes", BytesText, 0,
      [](G g) { return g.sums().original().bytes(); });
  add("BACK PACKETS", "reverse_packets", CountText, 1,
      [](G g) { return g.sums().reply().packets(); });
  add("BACK BYTES", "reverse_bytes", BytesText, 4,
      [](G g) { return g.sums().reply().bytes(); });
}

// A row of sums under a name, with nothing in the other columns of keys.
void AddSumRow(const std::string& name, const v1::FlowSums& sums,
               absl::Span<const GroupColumn> columns, size_t keys,
               Layout layout, Table& table) {
  v1::FlowGroup group;
  *group.mutable_sums() = sums;
  Table row = MakeTable<v1::FlowGroup>(
      columns, std::vector<v1::FlowGroup>{group}, layout);
  for (size_t i = 0; i < keys; ++i) row.rows[0][i].text.clear();
  if (keys > 0) row.rows[0][0].text = name;
  for (Cell& cell : row.rows[0]) cell.style = Style::kFaint;
  table.rows.push_back(std::move(row.rows[0]));
}

}  // namespace

Table FlowTable(const Flows& flows, Layout layout) {
  static const auto* const columns =
      new std::vector<Column<v1::Flow>>(FlowColumns());
  return MakeTable<v1::Flow>(*columns, flows, layout);
}

Table FlowRankingTable(const v1::FlowRanking& ranking,
                       const v1::FlowGrouping& grouping, bool with_ended,
                       Layout layout) {
  std::vector<GroupColumn> columns = KeyColumns(grouping);
  const size_t keys = columns.size();
  AddSumColumns(with_ended, columns);
  Table table = MakeTable<v1::FlowGroup>(columns, ranking.groups(), layout);
  if (layout == kCsv || keys == 0) return table;
  AddSumRow("other", ranking.other(), columns, keys, layout, table);
  AddSumRow("total", ranking.total(), columns, keys, layout, table);
  return table;
}

}  // namespace nfmeter::cli
