// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_views.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/flow_flags.h"
#include "cli/views.h"

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
  const bool is_none = state == v1::FLOW_TCP_STATE_UNSPECIFIED;
  return layout == kCsv && is_none ? "" : FlowStateName(state);
}

// A count of one direction; nothing where the flow has no counters.
template <typename Get>
Column<v1::Flow> CountColumn(const char* heading, const char* key, bool bytes,
                             int leave_out, Get get) {
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

// An address of IPFIX: there are two names for each, by version.
Column<v1::Flow> AddressColumn(
    const char* key, bool ipv6,
    const std::string& (*get)(const v1::Flow& flow)) {
  return {"", key, kCsv, Align::kLeft,
          [ipv6, get](const v1::Flow& flow, Layout) -> Cell {
            return {IsIpv6(flow) == ipv6 ? get(flow) : ""};
          }};
}

Column<v1::Flow> NumberColumn(const char* key,
                              uint64_t (*get)(const v1::Flow& flow)) {
  return {"", key, kCsv, Align::kRight,
          [get](const v1::Flow& flow, Layout) -> Cell {
            return {absl::StrCat(get(flow))};
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
    absl::StrAppend(out, FlowStatusName(status));
  });
}

void AddEndColumns(std::vector<Column<v1::Flow>>& columns) {
  columns.push_back({"SOURCE", "", kText, Align::kLeft,
                     [](const v1::Flow& f, Layout) -> Cell {
                       return {EndText(f.original().source_address(),
                                       f.original().source_port())};
                     }});
  columns.push_back({"DESTINATION", "", kText, Align::kLeft,
                     [](const v1::Flow& f, Layout) -> Cell {
                       return {EndText(f.original().destination_address(),
                                       f.original().destination_port())};
                     }});
  columns.push_back(
      {"ANSWERS FROM", "", kWide, Align::kLeft,
       [](const v1::Flow& f, Layout) -> Cell {
         return {EndText(f.reply().source_address(), f.reply().source_port())};
       }});
  columns.push_back({"ANSWERS TO", "", kWide, Align::kLeft,
                     [](const v1::Flow& f, Layout) -> Cell {
                       return {EndText(f.reply().destination_address(),
                                       f.reply().destination_port())};
                     }});
}

void AddIpfixEnds(std::vector<Column<v1::Flow>>& columns) {
  using F = const v1::Flow&;
  columns.push_back(AddressColumn(
      "sourceIPv4Address", false,
      [](F f) -> auto& { return f.original().source_address(); }));
  columns.push_back(AddressColumn(
      "destinationIPv4Address", false,
      [](F f) -> auto& { return f.original().destination_address(); }));
  columns.push_back(AddressColumn(
      "sourceIPv6Address", true,
      [](F f) -> auto& { return f.original().source_address(); }));
  columns.push_back(AddressColumn(
      "destinationIPv6Address", true,
      [](F f) -> auto& { return f.original().destination_address(); }));
  columns.push_back(NumberColumn("sourceTransportPort", [](F f) -> uint64_t {
    return f.original().source_port();
  }));
  columns.push_back(NumberColumn(
      "destinationTransportPort",
      [](F f) -> uint64_t { return f.original().destination_port(); }));
  columns.push_back(IcmpColumn("icmpTypeCodeIPv4", 1));
  columns.push_back(IcmpColumn("icmpTypeCodeIPv6", 58));
  // As seen behind NAT: by those who answer.
  columns.push_back(AddressColumn(
      "postNATSourceIPv4Address", false,
      [](F f) -> auto& { return f.reply().destination_address(); }));
  columns.push_back(AddressColumn(
      "postNATDestinationIPv4Address", false,
      [](F f) -> auto& { return f.reply().source_address(); }));
  columns.push_back(AddressColumn(
      "postNATSourceIPv6Address", true,
      [](F f) -> auto& { return f.reply().destination_address(); }));
  columns.push_back(AddressColumn(
      "postNATDestinationIPv6Address", true,
      [](F f) -> auto& { return f.reply().source_address(); }));
  columns.push_back(NumberColumn(
      "postNAPTSourceTransportPort",
      [](F f) -> uint64_t { return f.reply().destination_port(); }));
  columns.push_back(
      NumberColumn("postNAPTDestinationTransportPort",
                   [](F f) -> uint64_t { return f.reply().source_port(); }));
}

std::vector<Column<v1::Flow>> FlowColumns() {
  std::vector<Column<v1::Flow>> columns;
  columns.push_back({"PROTO", "protocolIdentifier", kAll, Align::kLeft,
                     [](const v1::Flow& f, Layout layout) -> Cell {
                       return {layout == kCsv
                                   ? absl::StrCat(f.protocol_number())
                                   : f.protocol()};
                     },
                     /*leave_out=*/5});
  AddEndColumns(columns);
  AddIpfixEnds(columns);
  columns.push_back(
      CountColumn("PACKETS", "packetTotalCount", false, 3, There));
  columns.push_back(CountColumn("BYTES", "octetTotalCount", true, 0, There));
  columns.push_back(
      CountColumn("BACK PACKETS", "reversePacketTotalCount", false, 2, Back));
  columns.push_back(
      CountColumn("BACK BYTES", "reverseOctetTotalCount", true, 4, Back));
  columns.push_back({"STATE", "tcpState", kAll, Align::kLeft,
                     [](const v1::Flow& f, Layout layout) -> Cell {
                       return {StateText(f.tcp_state(), layout)};
                     },
                     /*leave_out=*/1});
  columns.push_back({"START", "flowStartMilliseconds", kWide | kCsv,
                     Align::kLeft,
                     [](const v1::Flow& f, Layout layout) -> Cell {
                       return {layout == kCsv ? StartMilliseconds(f)
                                              : TimeText(f.start_time())};
                     }});
  columns.push_back(
      {"STATUS", "status", kWide | kCsv, Align::kLeft,
       [](const v1::Flow& f, Layout) -> Cell { return {StatusText(f)}; }});
  columns.push_back({"MARK", "mark", kWide | kCsv, Align::kRight,
                     [](const v1::Flow& f, Layout) -> Cell {
                       return {absl::StrCat(f.mark())};
                     }});
  columns.push_back({"ZONE", "zone", kWide | kCsv, Align::kRight,
                     [](const v1::Flow& f, Layout) -> Cell {
                       return {absl::StrCat(f.zone())};
                     }});
  return columns;
}

using GroupColumn = Column<v1::FlowGroup>;

void AddKeyColumns(const v1::FlowGrouping& grouping,
                   std::vector<GroupColumn>& columns) {
  const auto add = [&columns](const char* heading, const char* key,
                              std::string (*get)(const v1::FlowGroup&)) {
    columns.push_back(
        {heading, key, kAll, Align::kLeft,
         [get](const v1::FlowGroup& g, Layout) -> Cell { return {get(g)}; }});
  };
  using G = const v1::FlowGroup&;
  if (grouping.has_source()) {
    add("SOURCE", "source", [](G g) { return g.source(); });
  }
  if (grouping.has_destination()) {
    add("DESTINATION", "destination", [](G g) { return g.destination(); });
  }
  if (grouping.protocol()) {
    add("PROTO", "protocol", [](G g) { return g.protocol(); });
  }
  if (grouping.source_port()) {
    add("SPORT", "source_port",
        [](G g) { return absl::StrCat(g.source_port()); });
  }
  if (grouping.destination_port()) {
    add("DPORT", "destination_port",
        [](G g) { return absl::StrCat(g.destination_port()); });
  }
  if (grouping.mark()) {
    add("MARK", "mark", [](G g) { return absl::StrCat(g.mark()); });
  }
  if (grouping.zone()) {
    add("ZONE", "zone", [](G g) { return absl::StrCat(g.zone()); });
  }
  if (grouping.tcp_state()) {
    columns.push_back({"STATE", "tcp_state", kAll, Align::kLeft,
                       [](G g, Layout layout) -> Cell {
                         return {StateText(g.tcp_state(), layout)};
                       }});
  }
}

void AddSumColumns(bool with_ended, std::vector<GroupColumn>& columns) {
  const auto add = [&columns](const char* heading, const char* key,
                              unsigned layouts, bool bytes, int leave_out,
                              uint64_t (*get)(const v1::FlowSums&)) {
    columns.push_back(
        {heading, key, layouts, Align::kRight,
         [bytes, get](const v1::FlowGroup& g, Layout layout) -> Cell {
           const uint64_t value = get(g.sums());
           return {bytes ? BytesText(value, layout) : CountText(value, layout)};
         },
         leave_out});
  };
  using S = const v1::FlowSums&;
  add(with_ended ? "NEW FLOWS" : "FLOWS", "flows", kAll, false, 5,
      [](S s) { return uint64_t{s.flows()}; });
  if (with_ended) {
    add("ENDED", "ended_flows", kAll, false, 2,
        [](S s) { return uint64_t{s.ended_flows()}; });
  }
  add("UNCOUNTED", "flows_without_counters", kWide | kCsv, false, 0,
      [](S s) { return uint64_t{s.flows_without_counters()}; });
  add("PACKETS", "packets", kAll, false, 3,
      [](S s) { return uint64_t{s.original().packets()}; });
  add("BYTES", "bytes", kAll, true, 0,
      [](S s) { return uint64_t{s.original().bytes()}; });
  add("BACK PACKETS", "reverse_packets", kAll, false, 1,
      [](S s) { return uint64_t{s.reply().packets()}; });
  add("BACK BYTES", "reverse_bytes", kAll, true, 4,
      [](S s) { return uint64_t{s.reply().bytes()}; });
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
  std::vector<GroupColumn> columns;
  AddKeyColumns(grouping, columns);
  const size_t keys = columns.size();
  AddSumColumns(with_ended, columns);
  Table table = MakeTable<v1::FlowGroup>(columns, ranking.groups(), layout);
  if (layout == kCsv || keys == 0) return table;
  AddSumRow("other", ranking.other(), columns, keys, layout, table);
  AddSumRow("total", ranking.total(), columns, keys, layout, table);
  return table;
}

}  // namespace nfmeter::cli
