// SPDX-License-Identifier: Apache-2.0
// nfmeter check: a plugin for Nagios, Icinga and their kin.
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/escapes.h"
#include "cli/quantity.h"
#include "cli/time_range.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"
#include "proto/words/name_glob.h"
#include "proto/words/quantity_words.h"

namespace nfmeter::cli {
namespace {

// What plugins end with.
enum PluginStatus : int { kOk = 0, kWarning = 1, kCritical = 2, kUnknown = 3 };
constexpr const char* kStatusWords[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

struct CheckFlags {
  std::string name;
  std::string limit;
  std::string warn;
  std::string since = "month";
  std::string time_zone;
};

struct Checked {
  uint64_t bytes = 0;
  bool at_least = false;  // a gap lies in the time
};

// The beginning of the month, day or hour that it is, or so long ago.
absl::StatusOr<absl::Time> SinceWhen(absl::string_view since,
                                     absl::TimeZone zone, absl::Time now) {
  const absl::CivilSecond civil = absl::ToCivilSecond(now, zone);
  if (since == "month") return absl::FromCivil(absl::CivilMonth(civil), zone);
  if (since == "day") return absl::FromCivil(absl::CivilDay(civil), zone);
  if (since == "hour") return absl::FromCivil(absl::CivilHour(civil), zone);
  absl::string_view days = since;
  int64_t count = 0;
  if (absl::ConsumeSuffix(&days, "d") && absl::SimpleAtoi(days, &count) &&
      count > 0) {
    return now - absl::Hours(24) * count;
  }
  const auto ago = ParseDuration(since);
  if (ago.ok()) return now - *ago;
  return absl::InvalidArgumentError(absl::StrCat(
      "--since '", since, "' is not month, day, hour, or a time such as 7d"));
}

// NOT_FOUND: there is no such counter, or none that the glob matches.
absl::Status CheckExists(Client& client, const std::string& name,
                         const CallOptions& options) {
  if (!IsGlob(name)) return client.GetCounter(name, options).status();
  v1::ListCountersRequest request;
  request.mutable_filter()->set_name_glob(name);
  NFM_ASSIGN_OR_RETURN(const auto found, client.ListCounters(request, options));
  return found.counters().empty() ? absl::NotFoundError(absl::StrCat(
                                        "no counter matches '", name, "'"))
                                  : absl::OkStatus();
}

// What the counter has counted since then. NOT_FOUND: it neither exists nor has
// counted anything in that time.
absl::StatusOr<Checked> UsageSince(Client& client, const std::string& name,
                                   absl::Time since,
                                   const CallOptions& options) {
  v1::ListUsageRequest request;
  request.mutable_filter()->set_name_glob(name);
  *request.mutable_start_time() = ToProto(since);
  NFM_ASSIGN_OR_RETURN(const auto usage, client.ListUsage(request, options));
  Checked checked;
  for (const v1::UsageRow& row : usage.rows()) {
    checked.bytes += row.bytes();
    checked.at_least |= row.at_least();
  }
  if (usage.rows().empty()) {
    NFM_RETURN_IF_ERROR(CheckExists(client, name, options));
  }
  return checked;
}

// "NFMETER CRITICAL - web: 12.0 GiB of 10.0 GiB since 2026-11-01 00:00 |
// bytes=...": the form of plugins, values in the unit of the first. A '|' of
// ours would begin such values. Gives `status` back.
int Report(Console& console, PluginStatus status, absl::string_view sentence,
           absl::string_view data = "") {
  console.out << "NFMETER " << kStatusWords[status] << " - "
              << absl::StrReplaceAll(sentence, {{"|", "/"}})
              << (data.empty() ? "" : " | ") << data << "\n";
  return status;
}

// Errors are UNKNOWN, on standard output, as plugins are read; those of the
// command line, too, whose usual exit code would be CRITICAL.
int ReportError(Console& console, const absl::Status& error) {
  const std::string text = ErrorText(error, /*color=*/false);
  return Report(console, kUnknown,
                absl::StripPrefix(absl::StripSuffix(text, "\n"), "nfmeter: "));
}

absl::StatusOr<Checked> Ask(Session& session, const CheckFlags& flags,
                            std::string& since_text) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("checked"));
  if (!flags.warn.empty() &&
      *ParseBytes(flags.warn) >= *ParseBytes(flags.limit)) {
    return UsageError(absl::StrCat("--warn ", flags.warn,
                                   " is not below --limit ", flags.limit,
                                   ", so it would never warn"));
  }
  NFM_ASSIGN_OR_RETURN(const auto zone, FindZone(flags.time_zone));
  NFM_ASSIGN_OR_RETURN(const auto since,
                       SinceWhen(flags.since, zone, absl::Now()));
  since_text = absl::FormatTime("%Y-%m-%d %H:%M", since, zone);
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  return UsageSince(*client, NameBytes(flags.name), since, session.call());
}

absl::Status Check(Session& session, const CheckFlags& flags) {
  const uint64_t limit = *ParseBytes(flags.limit);
  std::optional<uint64_t> warn;
  if (!flags.warn.empty()) warn = *ParseBytes(flags.warn);
  std::string since;
  const absl::StatusOr<Checked> checked = Ask(session, flags, since);
  if (!checked.ok()) {
    session.set_exit_code(ReportError(session.console(), checked.status()));
    return absl::OkStatus();
  }
  const PluginStatus status = checked->bytes > limit           ? kCritical
                              : warn && checked->bytes > *warn ? kWarning
                                                               : kOk;
  session.set_exit_code(
      Report(session.console(), status,
             absl::StrCat(Printable(flags.name), ": ",
                          checked->at_least ? "at least " : "",
                          FormatBytes(checked->bytes), " of ",
                          FormatBytes(limit), " since ", since),
             absl::StrCat("bytes=", checked->bytes, "B;",
                          warn ? absl::StrCat(*warn) : "", ";", limit, ";0")));
  return absl::OkStatus();
}

}  // namespace

void AddCheckCommand(CommandTree& tree) {
  auto [command, flags] = tree.AddCommand(
      tree.root(), "check", "Say whether a counter is over a limit",
      R"(A plugin for Nagios, Icinga and their kin: one line with performance data, and
the exit status 0 OK, 1 WARNING, 2 CRITICAL (over the limit), 3 UNKNOWN (the
server could not be asked, or the command is wrong). As thresholds of plugins
are, both are ranges from 0 that include their ends: exactly as much as the
limit is within it. What counts is the ledger's total, which resets do not
touch, as of its last record, seconds ago; the counter needs no quota. -o
changes nothing here.

Examples:
  nfmeter check web --limit 10GiB --since month
  nfmeter check web --limit 10GiB --warn 8GiB --since 7d
  nfmeter --server gw1:7443 check 'tenant-a-*' --limit 1TB --since 30d)",
      Check);
  tree.ReportErrorsBy(command, ReportError);
  AddArgument(
      tree, *command, "NAME", flags->name,
      "a counter, or a glob for the sum of several ([*] for a star itself)",
      NamesFrom({"counter", "list"}));
  AddBytes(*command, "--limit", flags->limit,
           "CRITICAL above, not at, so many bytes: 10GB, 10GiB")
      ->required();
  AddBytes(*command, "--warn", flags->warn,
           "WARNING above so many, which are fewer than --limit");
  AddText(*command, "--since", flags->since, "WHEN",
          "the month, day or hour that has begun, or a time such as "
          "24h or 7d; default: month");
  AddText(*command, "--time-zone", flags->time_zone, "ZONE",
          "where days and months begin, as Europe/Berlin; default: "
          "this host's");
}

}  // namespace nfmeter::cli
