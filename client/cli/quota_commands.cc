// nfmeter quota watch
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command_tree.h"
#include "cli/interrupt.h"
#include "cli/message_text.h"
#include "cli/quantity.h"
#include "cli/views.h"

namespace nfmeter::cli {
namespace {

struct QuotaFlags {
  std::string glob;
  std::map<std::string, std::string> labels;
  size_t count = 0;
  bool once = false;
};

std::string KindName(v1::QuotaEventKind kind) {
  switch (kind) {
    case v1::QUOTA_EVENT_KIND_STANDING:
      return "standing";
    case v1::QUOTA_EVENT_KIND_CROSSED:
      return "crossed";
    case v1::QUOTA_EVENT_KIND_RECOVERED:
      return "recovered";
    case v1::QUOTA_EVENT_KIND_SYNCED:
      return "synced";
    default:
      return "unknown";
  }
}

// A line of the table: events come one at a time, so the widths are fixed.
std::string EventLine(const QuotaEvent& event, const Session& session) {
  const v1::Counter& counter = event.event.counter();
  const Layout layout = session.layout();
  const std::string kind = KindName(event.event.kind());
  const bool synced = event.event.kind() == v1::QUOTA_EVENT_KIND_SYNCED;
  const std::string time =
      layout == Layout::kWide
          ? TimeText(event.event.time())
          : absl::FormatTime(
                "%H:%M:%S", absl::FromUnixSeconds(event.event.time().seconds()),
                absl::LocalTimeZone());
  std::string text = absl::StrCat(time, "  ");
  if (synced) {
    absl::StrAppend(&text,
                    "synced     those above were over their quota already");
    return Paint(text, Style::kFaint, session.color());
  }
  absl::StrAppend(
      &text,
      Paint(absl::StrFormat("%-9s", kind), Style::kWarning, session.color()),
      absl::StrFormat(
          "  %-31s  limit %-15s  %s packets, %s", Printable(counter.name()),
          QuotaText(counter, layout),
          layout == Layout::kTable ? FormatCount(counter.packets())
                                   : absl::StrCat(counter.packets()),
          layout == Layout::kTable ? FormatBytes(counter.bytes())
                                   : absl::StrCat(counter.bytes(), " bytes")));
  if (event.event.missed_events() > 0) {
    absl::StrAppend(&text, "  (", event.event.missed_events(),
                    " events missed)");
  }
  return text;
}

Table EventTable(const QuotaEvent& event) {
  const v1::WatchQuotaEventsResponse& e = event.event;
  const v1::Counter& c = e.counter();
  Table table;
  table.headings = {{"time"},       {"kind"},    {"name"},  {"quota"},
                    {"quota_unit"}, {"packets"}, {"bytes"}, {"missed_events"}};
  std::string limit;
  if (c.has_quota()) {
    limit = absl::StrCat(c.quota().has_packets() ? c.quota().packets()
                                                 : c.quota().bytes());
  }
  table.rows.push_back({{TimeText(e.time())},
                        {KindName(e.kind())},
                        {c.name()},
                        {limit},
                        {!c.has_quota()            ? ""
                         : c.quota().has_packets() ? "packets"
                                                   : "bytes"},
                        {absl::StrCat(c.packets())},
                        {absl::StrCat(c.bytes())},
                        {absl::StrCat(e.missed_events())}});
  return table;
}

void PrintEvent(Session& session, const QuotaEvent& event, bool first) {
  std::ostream& out = session.console().out;
  switch (session.format()) {
    case Format::kTable:
    case Format::kWide:
      out << EventLine(event, session) << "\n";
      break;
    case Format::kCsv:
      out << RenderCsv(EventTable(event), first);
      break;
    case Format::kJson:
      out << MessageToJson(event.event, JsonLayout::kOneLine) << "\n";
      break;
    case Format::kYaml:
      out << "---\n" << MessageToYaml(event.event);
      break;
    case Format::kName:
      if (event.event.has_counter())
        out << event.event.counter().name() << "\n";
      break;
  }
  out.flush();
}

absl::Status WatchQuota(Session& session, const QuotaFlags& flags) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  v1::WatchQuotaEventsRequest request;
  request.mutable_filter()->set_name_glob(flags.glob);
  for (const auto& [key, value] : flags.labels) {
    (*request.mutable_filter()->mutable_labels())[key] = value;
  }
  WatchOptions options;
  options.on_connection = [&](const absl::Status& lost) {
    session.TellConnection(lost);
  };
  const std::unique_ptr<QuotaWatch> watch =
      (*client)->WatchQuotaEvents(request, options);
  const Interrupt interrupt([&] { watch->Cancel(); });
  bool first = true;
  for (uint64_t crossings = 0; flags.count == 0 || crossings < flags.count;) {
    const absl::StatusOr<QuotaEvent> event = watch->Next();
    if (!event.ok()) {
      return interrupt.raised() ? absl::OkStatus() : event.status();
    }
    if (event->repeated) continue;  // told before the connection broke
    PrintEvent(session, *event, std::exchange(first, false));
    if (!session.console().out) break;
    if (event->event.kind() == v1::QUOTA_EVENT_KIND_SYNCED) {
      if (flags.once) break;
    } else {
      ++crossings;
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddQuotaCommands(CommandTree& tree) {
  CLI::App* quota =
      tree.AddNoun("quota", "See which counters cross their quota");
  auto flags = std::make_shared<QuotaFlags>();
  CLI::App* command = tree.AddCommand(
      *quota, "watch", "Print a line when a counter crosses its quota",
      R"(First come the counters that are over their quota already (standing), then
'synced', then each crossing as it happens: crossed, or recovered when the
kernel dropped its event and the server found it by reading.
With -o json each line is a WatchQuotaEventsResponse. Ctrl-C ends it.

Examples:
  nfmeter quota watch
  nfmeter quota watch --once
  nfmeter quota watch 'cap-*' -o json | while read -r event; do ...; done)",
      [flags](Session& session) { return WatchQuota(session, *flags); });
  tree.Suggest(
      command->add_option("GLOB", flags->glob,
                          "only counters of these names; default: all"),
      {Candidates::kCounters});
  AddNumber(*command, "--count,-n", flags->count,
            "end after so many crossings; default 0: never");
  command->add_flag("--once", flags->once,
                    "end after those that are over their quota now");
  AddLabels(*command, flags->labels, "only with this label; may be repeated");
}

}  // namespace nfmeter::cli
