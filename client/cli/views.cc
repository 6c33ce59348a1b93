// SPDX-License-Identifier: Apache-2.0
#include "cli/views.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/escapes.h"
#include "cli/match_flags.h"
#include "cli/quantity.h"
#include "client/src/words.h"
#include "google/protobuf/util/time_util.h"

namespace nfmeter::cli {
namespace {

std::string LabelText(const v1::Counter& counter, Layout layout) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : counter.labels()) {
    labels.push_back(absl::StrCat(
        key, "=", layout == kCsv ? EscapeBytes(value, ",\n") : value));
  }
  std::sort(labels.begin(), labels.end());
  return absl::StrJoin(labels, ",");
}

uint64_t Limit(const v1::Quota& quota) {
  return quota.has_packets() ? quota.packets() : quota.bytes();
}

// "10.0 GiB, 12%": the limit and how much of it is used.
Cell QuotaCell(const v1::Counter& counter, Layout layout) {
  const v1::Quota& quota = counter.quota();
  if (!counter.has_quota()) return OrDash("", layout);
  if (layout == kCsv) return {absl::StrCat(Limit(quota))};
  const std::string limit = QuotaText(counter, layout);
  if (quota.exceeded()) {
    return {absl::StrCat(limit, ", exceeded"), Style::kWarning};
  }
  const uint64_t used =
      quota.has_packets() ? counter.packets() : counter.bytes();
  const double percent = Limit(quota) == 0
                             ? 0
                             : 100.0 * static_cast<double>(used) /
                                   static_cast<double>(Limit(quota));
  return {absl::StrFormat("%s, %.0f%%", limit, percent)};
}

const std::vector<Column<v1::Counter>>& CounterColumns() {
  using C = v1::Counter;
  static const auto& columns = *new std::vector<Column<C>>{
      {"NAME", "name", kAll, Align::kLeft,
       [](const C& c, Layout) -> Cell {
         // As rules of others: what was not made through nfmeter is faint.
         return {c.name(), c.managed() ? Style::kPlain : Style::kFaint};
       }},
      AmountColumn<C>("PACKETS", "packets", kAll, CountText, &C::packets,
                      /*leave_out=*/2),
      AmountColumn<C>("BYTES", "bytes", kAll, BytesText, &C::bytes),
      {"QUOTA", "quota", kAll, Align::kLeft, QuotaCell, /*leave_out=*/3},
      {"", "quota_unit", kCsv, Align::kLeft,
       [](const C& c, Layout) -> Cell {
         if (!c.has_quota()) return {};
         return {c.quota().has_packets() ? "packets" : "bytes"};
       }},
      PlainColumn<C>("", "quota_exceeded", kCsv,
                     [](const C& c) { return c.quota().exceeded(); }),
      PlainColumn<C>("HELD BY", "use_count", kAll, &C::use_count,
                     /*leave_out=*/1),
      AmountColumn<C>("TOTAL PACKETS", "total_packets", kDetailed, CountText,
                      &C::total_packets),
      AmountColumn<C>("TOTAL BYTES", "total_bytes", kDetailed, BytesText,
                      &C::total_bytes),
      // Since then nothing is known to be missing in them.
      {"SURE SINCE", "start_time", kDetailed, Align::kLeft,
       [](const C& c, Layout l) {
         return OrDash(c.has_start_time() ? TimeText(c.start_time()) : "", l);
       }},
      PlainColumn<C>("MANAGED", "", kWide, &C::managed),
      {"LABELS", "labels", kDetailed, Align::kLeft,
       [](const C& c, Layout l) { return OrDash(LabelText(c, l), l); }},
      {"READ AT", "read_time", kDetailed, Align::kLeft,
       [](const C& c, Layout) {
         return c.has_read_time() ? TimeText(c.read_time()) : "";
       }},
      PlainColumn<C>("", "managed", kCsv, &C::managed),
      {"DESCRIPTION", "description", kDetailed, Align::kLeft,
       [](const C& c, Layout l) {
         // What Table makes of control characters is read back as these.
         return OrDash(
             l == kCsv ? EscapeBytes(c.description(), "") : c.description(), l);
       }},
  };
  return columns;
}

std::string MatchOf(const v1::Rule& rule, Layout layout) {
  std::string text =
      layout == kCsv ? MatchText(rule.match()) : DescribeMatch(rule.match());
  for (const std::string& other : rule.other_matches()) {
    absl::StrAppend(&text, text.empty() ? "" : " ", "[", other, "]");
  }
  return text;
}

// What happens after counting: the verdict, or the target of a foreign rule.
std::string ActionText(const v1::Rule& rule) {
  if (rule.verdict() == v1::VERDICT_OTHER) return rule.target();
  return VerdictName(rule.verdict());
}

const std::vector<Column<v1::Rule>>& RuleColumns() {
  using R = v1::Rule;
  static const auto& columns = *new std::vector<Column<R>>{
      {"ID", "id", kAll, Align::kLeft,
       [](const R& r, Layout) -> Cell {
         return {r.id(), r.managed() ? Style::kPlain : Style::kFaint};
       }},
      {"FAMILY", "family", kAll, Align::kLeft,
       [](const R& r, Layout) { return FamilyName(r.family()); },
       /*leave_out=*/1},
      PlainColumn<R>("TABLE", "table", kAll, &R::table, /*leave_out=*/2),
      PlainColumn<R>("CHAIN", "chain", kAll, &R::chain, /*leave_out=*/5),
      PlainColumn<R>("#", "position", kDetailed, &R::position),
      PlainColumn<R>("COUNTER", "counter", kAll, &R::counter),
      {"MATCH", "match", kAll, Align::kLeft,
       [](const R& r, Layout l) {
         const std::string text = MatchOf(r, l);
         return text.empty() && l != kCsv ? Cell{"any", Style::kFaint}
                                          : Cell{text};
       }},
      {"THEN", "verdict", kAll, Align::kLeft,
       [](const R& r, Layout l) {
         return l == kCsv ? VerdictName(r.verdict()) : ActionText(r);
       },
       /*leave_out=*/4},
      AmountColumn<R>("PACKETS", "packets", kAll, CountText, &R::packets,
                      /*leave_out=*/3),
      AmountColumn<R>("BYTES", "bytes", kAll, BytesText, &R::bytes),
      PlainColumn<R>("MANAGED", "managed", kDetailed, &R::managed),
      PlainColumn<R>("", "target", kCsv, &R::target),
      {"COMMENT", "comment", kDetailed, Align::kLeft,
       [](const R& r, Layout l) { return OrDash(r.match().comment(), l); }},
      PlainColumn<R>("SPEC", "spec", kDetailed, &R::spec),
  };
  return columns;
}

const std::vector<Column<v1::Chain>>& ChainColumns() {
  using C = v1::Chain;
  static const auto& columns = *new std::vector<Column<C>>{
      {"FAMILY", "family", kAll, Align::kLeft,
       [](const C& c, Layout) { return FamilyName(c.family()); },
       /*leave_out=*/3},
      PlainColumn<C>("TABLE", "table", kAll, &C::table, /*leave_out=*/4),
      PlainColumn<C>("CHAIN", "name", kAll, &C::name),
      PlainColumn<C>("POLICY", "policy", kAll, &C::policy, /*leave_out=*/2),
      {"PACKETS", "packets", kAll, Align::kRight,
       [](const C& c, Layout l) {
         const bool counts = l == kCsv || c.builtin();
         return OrDash(counts ? CountText(c.packets(), l) : "", l);
       },
       /*leave_out=*/1},
      {"BYTES", "bytes", kAll, Align::kRight,
       [](const C& c, Layout l) {
         const bool counts = l == kCsv || c.builtin();
         return OrDash(counts ? BytesText(c.bytes(), l) : "", l);
       }},
      PlainColumn<C>("RULES", "rule_count", kAll, &C::rule_count),
      PlainColumn<C>("REFERENCES", "references", kDetailed, &C::references),
      PlainColumn<C>("MANAGED", "", kWide, &C::managed),
      PlainColumn<C>("", "builtin", kCsv, &C::builtin),
      PlainColumn<C>("", "managed", kCsv, &C::managed),
  };
  return columns;
}

std::string ShortestInterval(const v1::NodeLimits& limits) {
  return FormatDuration(
      absl::Nanoseconds(google::protobuf::util::TimeUtil::DurationToNanoseconds(
          limits.min_snapshot_interval())));
}

// `text`, with what does not fit into `width` columns below, indented.
std::string Wrapped(absl::string_view text, size_t indent, size_t width) {
  const std::string shown = Printable(text);
  return width > indent ? Wrap(shown, indent, width - indent) : shown;
}

// "name   value" lines.
class Facts {
 public:
  // `width`: columns of a line; 0: any.
  Facts(bool color, size_t width) : color_(color), width_(width) {}
  void Add(absl::string_view name, absl::string_view value) {
    const std::string label(name);
    absl::StrAppend(
        &text_, Paint(label, Style::kHeader, color_),
        std::string(kIndent - std::min(kIndent - 1, label.size()), ' '),
        Wrapped(value, kIndent, width_), "\n");
  }
  std::string Take() { return std::move(text_); }

 private:
  static constexpr size_t kIndent = 20;

  bool color_;
  size_t width_;
  std::string text_;
};

std::string CapabilityText(const v1::Node& node, Layout layout, bool color,
                           size_t width) {
  Table table;
  table.headings = {{"CAPABILITY"}, {"STATE"}, {"DETAIL"}};
  if (layout == kWide) table.headings.push_back({"METHODS THAT NEED IT"});
  for (const v1::Capability& capability : node.capabilities()) {
    std::vector<Cell>& row = table.rows.emplace_back();
    row.push_back({capability.name()});
    row.push_back(capability.available() ? Cell{"available", Style::kGood}
                  : capability.methods().empty()
                      ? Cell{"absent"}  // and nothing needs it
                      : Cell{"missing", Style::kWarning});
    row.push_back({capability.detail()});
    if (layout == kWide) {
      row.push_back({absl::StrJoin(capability.methods(), " ")});
    }
  }
  // Lines of the wide layout stay whole.
  if (layout == kWide) width = 0;
  return RenderTable(table,
                     {.color = color, .max_width = width, .wrap = width > 0});
}

std::string LimitText(const v1::NodeLimits& limits, bool color) {
  Facts facts(color, /*width=*/0);
  facts.Add("batch", absl::StrCat(limits.max_batch_size(), " items"));
  facts.Add("page", absl::StrCat(limits.max_page_size(), " items"));
  facts.Add("interval", absl::StrCat("at least ", ShortestInterval(limits)));
  facts.Add("streams", absl::StrCat(limits.max_streams()));
  facts.Add("request", FormatBytes(limits.max_request_bytes()));
  facts.Add("counters", absl::StrCat(limits.max_counters()));
  facts.Add("labels",
            absl::StrCat(FormatBytes(limits.max_label_bytes()), ", ",
                         FormatBytes(limits.max_label_bytes_per_scope()),
                         " of one caller with prefixes"));
  return facts.Take();
}

// "operator of a-*, b-*, for nfmeter.v1.CounterService/*"
std::string GrantText(const v1::Grant& grant) {
  std::string text = grant.role();
  if (!grant.counter_prefixes().empty()) {
    absl::StrAppend(&text, " of ",
                    absl::StrJoin(grant.counter_prefixes(), ", ",
                                  [](std::string* out, const auto& prefix) {
                                    absl::StrAppend(out, prefix, "*");
                                  }));
  }
  if (!grant.methods().empty()) {
    absl::StrAppend(&text, ", for ", absl::StrJoin(grant.methods(), ", "));
  }
  if (grant.flows() == "full") {
    absl::StrAppend(&text, ", and see all flows");
  } else if (grant.flows() == "summary") {
    absl::StrAppend(&text, ", and see sums of flows by /",
                    grant.flow_prefixes().ipv4(), " and /",
                    grant.flow_prefixes().ipv6());
  }
  return text;
}

// Servers tell of all counters only those who may see them; those from before
// there were callers tell everybody.
bool TellsOfTheWholeHost(const v1::Node& node) {
  return node.caller().grants().empty() ||
         std::any_of(node.caller().grants().begin(),
                     node.caller().grants().end(), [](const v1::Grant& grant) {
                       return grant.counter_prefixes().empty();
                     });
}

// Where totals live.
std::string LedgerText(const v1::Ledger& ledger) {
  if (!ledger.durable()) {
    return "in memory only: they begin anew when the server restarts";
  }
  if (ledger.problem().empty()) return "kept on disk";
  return absl::StrCat("in memory since ", SecondsText(ledger.problem_time()),
                      ", as the disk does not take them: ", ledger.problem());
}

}  // namespace

std::string TimeText(const google::protobuf::Timestamp& time) {
  return google::protobuf::util::TimeUtil::ToString(time);
}

std::string SecondsText(google::protobuf::Timestamp time) {
  time.set_nanos(0);
  return TimeText(time);
}

std::string QuotaText(const v1::Counter& counter, Layout layout) {
  const v1::Quota& quota = counter.quota();
  if (quota.has_packets()) {
    return absl::StrCat(CountText(quota.packets(), layout), " packets");
  }
  return layout == kTable ? FormatBytes(quota.bytes())
                          : absl::StrCat(quota.bytes(), " bytes");
}

std::string DescribeRule(const v1::Rule& rule) {
  const std::string match = MatchOf(rule, kTable);
  return absl::StrCat(FamilyName(rule.family()),
                      rule.family() == v1::FAMILY_UNSPECIFIED ? "" : " ",
                      rule.table(), " ", rule.chain(), ": ",
                      match.empty() ? "all packets" : match, " -> ",
                      rule.counter(),
                      rule.verdict() == v1::VERDICT_UNSPECIFIED ||
                              rule.verdict() == v1::VERDICT_CONTINUE
                          ? ""
                          : absl::StrCat(", then ", ActionText(rule)));
}

Table CounterTable(const Counters& counters, Layout layout) {
  return MakeTable<v1::Counter>(CounterColumns(), counters, layout);
}

Table RuleTable(const Rules& rules, Layout layout) {
  return MakeTable<v1::Rule>(RuleColumns(), rules, layout);
}

Table ChainTable(const Chains& chains, Layout layout) {
  return MakeTable<v1::Chain>(ChainColumns(), chains, layout);
}

std::string NodeText(const v1::Node& node, Layout layout, bool color,
                     size_t width) {
  Facts facts(color, layout == kWide ? 0 : width);
  facts.Add("host", node.hostname());
  facts.Add("nfmeterd", node.version());
  facts.Add("kernel", node.kernel_release());
  facts.Add("network namespace", absl::StrCat(node.network_namespace()));
  facts.Add("started", SecondsText(node.start_time()));
  if (TellsOfTheWholeHost(node)) {
    facts.Add("counters",
              absl::StrCat(node.counter_count(), ", when last read"));
    facts.Add("open watches", absl::StrCat(node.snapshot_subscribers()));
  }
  if (node.has_flow_tracking()) {
    const v1::FlowTracking& tracking = node.flow_tracking();
    facts.Add(
        "flows",
        absl::StrCat("accounting ", tracking.accounting() ? "on" : "off",
                     ", start times ", tracking.timestamps() ? "on" : "off",
                     TellsOfTheWholeHost(node)
                         ? absl::StrCat("; ", tracking.flow_count(),
                                        " of at most ", tracking.max_flows())
                         : ""));
  }
  if (node.has_ledger()) facts.Add("totals", LedgerText(node.ledger()));
  if (node.read_only()) facts.Add("changes", "refused: it is read only");
  if (!node.caller().principal().empty()) {
    facts.Add("you are", node.caller().principal());
  }
  for (const v1::Grant& grant : node.caller().grants()) {
    facts.Add("you may act as", GrantText(grant));
  }
  if (layout == kWide) facts.Add("epoch", absl::StrCat(node.epoch()));
  std::string text = facts.Take();
  if (!node.capabilities().empty()) {
    absl::StrAppend(&text, "\n", CapabilityText(node, layout, color, width));
  }
  if (layout == kWide) {
    absl::StrAppend(&text, "\n", Paint("LIMITS", Style::kHeader, color), "\n",
                    LimitText(node.limits(), color));
  }
  if (!node.notices().empty()) {
    absl::StrAppend(&text, "\n", Paint("NOTICES", Style::kHeader, color), "\n");
    for (const std::string& notice : node.notices()) {
      absl::StrAppend(&text, "- ", Wrapped(notice, 2, width), "\n");
    }
  }
  return text;
}

Table NodeTable(const v1::Node& node) {
  std::vector<std::string> missing;
  for (const v1::Capability& capability : node.capabilities()) {
    if (!capability.available() && !capability.methods().empty()) {
      missing.push_back(capability.name());
    }
  }
  const std::pair<absl::string_view, std::string> facts[] = {
      {"hostname", node.hostname()},
      {"version", node.version()},
      {"kernel_release", node.kernel_release()},
      {"network_namespace", absl::StrCat(node.network_namespace())},
      {"epoch", absl::StrCat(node.epoch())},
      {"start_time", TimeText(node.start_time())},
      {"counter_count", absl::StrCat(node.counter_count())},
      {"snapshot_subscribers", absl::StrCat(node.snapshot_subscribers())},
      {"missing_capabilities", absl::StrJoin(missing, " ")},
  };
  Table table;
  std::vector<Cell>& row = table.rows.emplace_back();
  for (const auto& [key, value] : facts) {
    table.headings.push_back({std::string(key)});
    row.push_back({value});
  }
  return table;
}

std::string CostText(const v1::PlanCost& cost) {
  return absl::StrCat(CountOf(cost.counters(), "counter"), ", ",
                      CountOf(cost.rules(), "rule"), " in ",
                      CountOf(cost.chains(), "chain"), "; a packet meets ",
                      absl::StrFormat("%.1f", cost.mean_rules_met()),
                      " rules on average, ", cost.max_rules_met(), " at most");
}

}  // namespace nfmeter::cli
