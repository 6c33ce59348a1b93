// SPDX-License-Identifier: Apache-2.0
// nfmeter quota watch
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/escapes.h"
#include "cli/filter_flags.h"
#include "cli/interrupt.h"
#include "cli/quantity.h"
#include "cli/shell.h"
#include "cli/views.h"
#include "client/src/cancellation.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "proto/words/name_glob.h"

namespace nfmeter::cli {
namespace {

struct QuotaFlags {
  v1::CounterFilter filter;
  size_t count = 0;
  bool once = false;
  std::string exec;
};

std::string KindName(v1::QuotaEventKind kind) {
  return kind == v1::QUOTA_EVENT_KIND_UNSPECIFIED
             ? "unknown"
             : absl::AsciiStrToLower(EnumWord(kind));
}

// Columns that a line of the table takes, and those for a middling one.
constexpr size_t kWholeLine = 112;
constexpr size_t kMiddlingLine = 60;
constexpr size_t kLeastName = 8;

// "3.30 GiB of 3.00 GiB", or in little room "110%".
std::string UsedText(const v1::Counter& counter, bool is_narrow) {
  const v1::Quota& quota = counter.quota();
  const bool of_packets = quota.has_packets();
  const uint64_t used = of_packets ? counter.packets() : counter.bytes();
  const uint64_t limit = of_packets ? quota.packets() : quota.bytes();
  if (!is_narrow) {
    return absl::StrCat(of_packets ? FormatCount(used) : FormatBytes(used),
                        " of ", QuotaText(counter, Layout::kTable));
  }
  if (limit == 0) return "";
  return absl::StrFormat(
      "%.0f%%", 100.0 * static_cast<double>(used) / static_cast<double>(limit));
}

// What was told before an event.
struct Earlier {
  bool any = false;
  bool any_standing = false;  // a counter that was over its quota already
};

// For terminals of less than kWholeLine: the time of day, the name as far as
// there is room, and how much of the quota is used.
std::string ShortEventLine(const QuotaEvent& event, const Earlier& earlier,
                           size_t width, const Session& session) {
  const v1::Counter& counter = event.event.counter();
  const std::string time = absl::FormatTime(
      "%H:%M:%S  ", absl::FromUnixSeconds(event.event.time().seconds()),
      absl::LocalTimeZone());
  if (event.event.kind() == v1::QUOTA_EVENT_KIND_SYNCED) {
    return Paint(
        CutToWidth(absl::StrCat(time, "synced     ",
                                earlier.any_standing ? "all above are over"
                                                     : "none is over"),
                   width),
        Style::kFaint, session.color());
  }
  const std::string kind =
      absl::StrFormat("%-9s", KindName(event.event.kind()));
  std::string used = UsedText(counter, width < kMiddlingLine);
  if (event.event.missed_events() > 0) {
    absl::StrAppend(&used, ", ", event.event.missed_events(), " missed");
  }
  const size_t others = time.size() + kind.size() + used.size() + 4;
  const size_t room = width > others + kLeastName ? width - others : kLeastName;
  std::string name = Printable(counter.name());
  if (DisplayWidth(name) > room) {
    name = absl::StrCat(CutToWidth(name, room - 1), ">");
  }
  return absl::StrCat(time, Paint(kind, Style::kWarning, session.color()), "  ",
                      name, "  ", used);
}

// A line of the table: events come one at a time, so the widths are fixed.
std::string EventLine(const QuotaEvent& event, const Earlier& earlier,
                      const Session& session) {
  const v1::Counter& counter = event.event.counter();
  const Layout layout = session.layout();
  if (const size_t width = session.width(); width > 0 && width < kWholeLine) {
    return ShortEventLine(event, earlier, width, session);
  }
  const std::string kind = KindName(event.event.kind());
  const bool synced = event.event.kind() == v1::QUOTA_EVENT_KIND_SYNCED;
  const std::string time =
      layout == Layout::kWide
          ? TimeText(event.event.time())
          : absl::FormatTime(
                "%Y-%m-%d %H:%M:%S",
                absl::FromUnixSeconds(event.event.time().seconds()),
                absl::LocalTimeZone());
  std::string text = absl::StrCat(time, "  ");
  if (synced) {
    absl::StrAppend(&text, "synced     ",
                    earlier.any_standing
                        ? "those above were over their quota already"
                        : "none is over its quota");
    return Paint(text, Style::kFaint, session.color());
  }
  absl::StrAppend(
      &text,
      Paint(absl::StrFormat("%-9s", kind), Style::kWarning, session.color()),
      absl::StrFormat(
          "  %-31s  limit %-15s  %s packets, %s", Printable(counter.name()),
          QuotaText(counter, layout), CountText(counter.packets(), layout),
          layout == Layout::kTable ? FormatBytes(counter.bytes())
                                   : absl::StrCat(counter.bytes(), " bytes")));
  if (event.event.threshold_percent() > 0) {
    absl::StrAppend(&text, "  ", event.event.threshold_percent(),
                    "% of the limit");
  }
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
  table.headings = {{"time"},  {"kind"},          {"name"},
                    {"quota"}, {"quota_unit"},    {"packets"},
                    {"bytes"}, {"missed_events"}, {"threshold_percent"}};
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
                        {absl::StrCat(e.missed_events())},
                        {absl::StrCat(e.threshold_percent())}});
  return table;
}

void PrintEvent(Session& session, const QuotaEvent& event,
                const Earlier& earlier = {}) {
  std::ostream& out = session.console().out;
  if (session.for_people()) {
    out << EventLine(event, earlier, session) << "\n";
  } else {
    session.PrintNext(event.event, EventTable(event),
                      event.event.counter().name(), !earlier.any);
  }
  out.flush();
}

// Runs a line of shell for an event, which it finds in its environment. Its
// failure is told and ends nothing.
void RunForEvent(Session& session, const QuotaEvent& event,
                 const std::string& line) {
  const v1::Counter& counter = event.event.counter();
  std::map<std::string, std::string> variables = {
      {"NFMETER_EVENT", KindName(event.event.kind())},
      {"NFMETER_COUNTER", counter.name()},
      {"NFMETER_PACKETS", absl::StrCat(counter.packets())},
      {"NFMETER_BYTES", absl::StrCat(counter.bytes())},
      {"NFMETER_PERCENT", absl::StrCat(event.event.threshold_percent())}};
  const absl::Status status = RunShell(line, variables);
  if (!status.ok()) {
    session.console().err << "nfmeter: --exec: " << status.message()
                          << std::endl;
  }
}

// A name that is no glob, and of which no event will ever come, is a mistake.
absl::Status CheckHasQuota(Session& session, Client& client,
                           const std::string& name) {
  NFM_ASSIGN_OR_RETURN(const auto counter,
                       client.GetCounter(name, session.call()));
  if (counter.has_quota()) return absl::OkStatus();
  return WithHint(absl::FailedPreconditionError(
                      absl::StrCat("counter '", name, "' has no quota")),
                  absl::StrCat("'nfmeter counter update ", name,
                               " --quota-bytes 10GiB' gives it one"));
}

absl::Status WatchQuota(Session& session, const QuotaFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("watched"));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  const std::string& name = flags.filter.name_glob();
  if (!name.empty() && !IsGlob(name)) {
    NFM_RETURN_IF_ERROR(CheckHasQuota(session, *client, name));
  }
  v1::WatchQuotaEventsRequest request;
  *request.mutable_filter() = flags.filter;
  const std::unique_ptr<QuotaWatch> watch =
      client->WatchQuotaEvents(request, session.stream_options());
  const Interrupt interrupt([&] { watch->Cancel(); });
  Earlier earlier;
  for (uint64_t crossings = 0; flags.count == 0 || crossings < flags.count;) {
    const absl::StatusOr<QuotaEvent> event = watch->Next();
    if (!event.ok()) return interrupt.EndOf(event.status());
    if (event->repeated) continue;  // told before the connection broke
    PrintEvent(session, *event, earlier);
    earlier.any = true;
    if (event->event.kind() == v1::QUOTA_EVENT_KIND_STANDING) {
      earlier.any_standing = true;
    }
    if (!flags.exec.empty() && event->event.has_counter()) {
      RunForEvent(session, *event, flags.exec);
    }
    if (!session.console().out) break;
    if (event->event.kind() == v1::QUOTA_EVENT_KIND_SYNCED) {
      if (flags.once) break;
    } else {
      ++crossings;
    }
  }
  return absl::OkStatus();
}

// --- wait

// Calls a function, on a thread of its own, once a time has passed by a clock
// that nobody sets; not any more once it is destroyed.
class Alarm {
 public:
  Alarm(absl::Duration after, std::function<void()> ring)
      : thread_([this, after, ring = std::move(ring)] {
          if (off_.WaitFor(after)) return;
          rung_ = true;
          ring();
        }) {}
  ~Alarm() {
    off_.Notify();
    thread_.join();
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  bool rung() const { return rung_; }

 private:
  client_internal::Cancellation off_;
  std::atomic<bool> rung_ = false;
  std::thread thread_;  // last: uses all of the above
};

struct WaitFlags {
  std::string name;
  std::string timeout;
  bool exceeded = false;
};

absl::Status WaitForQuota(Session& session, const WaitFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("watched"));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_RETURN_IF_ERROR(CheckHasQuota(session, *client, NameBytes(flags.name)));
  v1::WatchQuotaEventsRequest request;
  request.mutable_filter()->set_name_glob(GlobOfName(NameBytes(flags.name)));
  const std::unique_ptr<QuotaWatch> watch =
      client->WatchQuotaEvents(request, session.stream_options());
  const Alarm alarm(
      ParseDuration(flags.timeout).value_or(absl::InfiniteDuration()),
      [&] { watch->Cancel(); });
  while (true) {
    const absl::StatusOr<QuotaEvent> event = watch->Next();
    if (alarm.rung()) {
      return absl::UnknownError(absl::StrCat("counter '", flags.name,
                                             "' did not exceed its quota "
                                             "within ",
                                             flags.timeout));
    }
    if (!event.ok()) return event.status();
    if (!event->event.has_counter()) continue;  // SYNCED
    if (event->event.kind() == v1::QUOTA_EVENT_KIND_THRESHOLD) continue;
    PrintEvent(session, *event);
    return absl::OkStatus();
  }
}

}  // namespace

void AddWaitCommands(CommandTree& tree) {
  CLI::App* wait =
      tree.AddNoun("wait", "Wait for an event, such as an exceeded quota");
  auto [command, flags] = tree.AddCommand(
      *wait, "quota", "Wait until a counter exceeds its quota",
      R"(Ends with exit code 0 and the event as 'quota watch' prints it, at once when the
quota is exceeded already; with 1 when --timeout is over first.

Examples:
  nfmeter wait quota cap-alice --exceeded --timeout 1h && mail-alice)",
      WaitForQuota);
  AddArgument(tree, *command, "NAME", flags->name, "a counter with a quota",
              NamesFrom({"counter", "list"}));
  command->add_flag("--exceeded", flags->exceeded, "what to wait for")
      ->required();
  AddDuration(*command, "--timeout", flags->timeout,
              "give up after so long; default: never");
}

void AddQuotaCommands(CommandTree& tree) {
  CLI::App* quota =
      tree.AddNoun("quota", "See which counters cross their quota");
  auto [command, flags] = tree.AddCommand(
      *quota, "watch", "Print a line when a counter crosses its quota",
      R"(First come the counters that are over their quota already (standing), then
'synced', then each crossing as it happens: crossed, or recovered when the
kernel dropped its event and the server found it by reading; and thresholds of
plans (threshold, with their share of the limit).
With -o json each line is one event. Ctrl-C ends it.

Examples:
  nfmeter quota watch
  nfmeter quota watch --once
  nfmeter quota watch 'cap-*' -o json | while read -r event; do ...; done
  nfmeter quota watch --exec 'logger "$NFMETER_COUNTER is over its quota"')",
      WatchQuota);
  AddFilterFlags(tree, *command, flags->filter);
  AddNumber(*command, "--count,-n", flags->count,
            "end after so many crossings; default 0: never");
  AddText(*command, "--exec", flags->exec, "LINE",
          "run this line of shell for each, with NFMETER_COUNTER, "
          "NFMETER_EVENT, NFMETER_PACKETS, NFMETER_BYTES and (of a "
          "threshold) NFMETER_PERCENT set");
  command->add_flag("--once", flags->once,
                    "end after those that are over their quota now");
}

}  // namespace nfmeter::cli
