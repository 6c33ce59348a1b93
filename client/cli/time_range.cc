// SPDX-License-Identifier: Apache-2.0
#include "cli/time_range.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "cli/errors.h"
#include "cli/quantity.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

constexpr char kForms[] =
    "give 24h or 7d (so long ago), today, yesterday, this-month, last-month, "
    "2026, 2026-11, 2026-11-05 or 2026-11-05T10:00";

// A moment is a period without length.
TimeRange Moment(absl::Time time) { return {time, time}; }

template <typename Civil>
TimeRange Period(Civil first, absl::TimeZone zone) {
  return {absl::FromCivil(first, zone), absl::FromCivil(first + 1, zone)};
}

std::optional<TimeRange> ParseWord(absl::string_view text, absl::TimeZone zone,
                                   absl::Time now) {
  const absl::CivilDay today = absl::ToCivilDay(now, zone);
  const absl::CivilMonth month = absl::ToCivilMonth(now, zone);
  if (text == "now") return Moment(now);
  if (text == "today") return Period(today, zone);
  if (text == "yesterday") return Period(today - 1, zone);
  if (text == "this-month") return Period(month, zone);
  if (text == "last-month") return Period(month - 1, zone);
  return std::nullopt;
}

// Days and weeks are 24 hours and seven times that.
std::optional<TimeRange> ParseAgo(absl::string_view text, absl::Time now) {
  absl::string_view number = text;
  absl::Duration unit;
  if (absl::ConsumeSuffix(&number, "d")) {
    unit = absl::Hours(24);
  } else if (absl::ConsumeSuffix(&number, "w")) {
    unit = absl::Hours(7 * 24);
  } else {
    // A bare number would be seconds elsewhere, and a year here.
    if (absl::c_all_of(text, absl::ascii_isdigit)) return std::nullopt;
    const auto duration = ParseDuration(text);
    if (!duration.ok()) return std::nullopt;
    return Moment(now - *duration);
  }
  double count = 0;
  if (!absl::SimpleAtod(number, &count) || !(count > 0) || count > 100'000) {
    return std::nullopt;
  }
  return Moment(now - count * unit);
}

std::optional<TimeRange> ParseDate(absl::string_view text,
                                   absl::TimeZone zone) {
  // Abseil knows words, too, such as infinite-future.
  if (text.empty() || !absl::ascii_isdigit(text[0])) return std::nullopt;
  absl::Time time;
  std::string error;
  for (const char* form : {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%dT%H:%M%Ez",
                           "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%dT%H:%M"}) {
    if (absl::ParseTime(form, text, zone, &time, &error)) return Moment(time);
  }
  absl::CivilDay day;
  absl::CivilMonth month;
  absl::CivilYear year;
  if (text.size() == 10 && absl::ParseCivilTime(text, &day)) {
    return Period(day, zone);
  }
  if (text.size() == 7 && absl::ParseCivilTime(text, &month)) {
    return Period(month, zone);
  }
  if (text.size() == 4 && absl::ParseCivilTime(text, &year)) {
    return Period(year, zone);
  }
  return std::nullopt;
}

absl::StatusOr<TimeRange> Parse(absl::string_view flag, absl::string_view text,
                                absl::TimeZone zone, absl::Time now) {
  std::optional<TimeRange> period = ParseWord(text, zone, now);
  if (!period.has_value()) period = ParseDate(text, zone);
  if (!period.has_value()) period = ParseAgo(text, now);
  if (period.has_value()) return *period;
  return UsageError(absl::StrCat(flag, ": '", text, "' is no time"), kForms);
}

}  // namespace

absl::StatusOr<TimeRange> ParseTimeRange(absl::string_view since,
                                         absl::string_view until,
                                         absl::TimeZone zone, absl::Time now) {
  NFM_ASSIGN_OR_RETURN(const auto first, Parse("--since", since, zone, now));
  TimeRange range = first;
  if (!until.empty()) {
    NFM_ASSIGN_OR_RETURN(const auto last, Parse("--until", until, zone, now));
    range.to = last.to;
  } else if (range.from == range.to) {
    range.to = now;
  }
  if (range.from >= range.to) {
    return UsageError(
        absl::StrCat("--since ", since, " is not before ",
                     until.empty() ? "now" : absl::StrCat("--until ", until)));
  }
  if (range.from >= now) {
    return UsageError(absl::StrCat("--since ", since, " begins in the future"));
  }
  return range;
}

std::string DescribeRange(const TimeRange& range, absl::TimeZone zone,
                          absl::Time now) {
  const auto is_midnight = [&](absl::Time time) {
    return zone.At(time).cs == absl::CivilSecond(absl::ToCivilDay(time, zone));
  };
  const std::string in_zone =
      absl::StrCat(" (", zone.name(), ")", range.to > now ? ", so far" : "");
  if (!is_midnight(range.from) || !is_midnight(range.to)) {
    const auto text = [&](absl::Time time) {
      return absl::FormatTime("%Y-%m-%d %H:%M", time, zone);
    };
    return absl::StrCat("from ", text(range.from), " until ", text(range.to),
                        in_zone);
  }
  const absl::CivilDay first = absl::ToCivilDay(range.from, zone);
  const absl::CivilDay last = absl::ToCivilDay(range.to, zone) - 1;
  if (first == last) {
    return absl::StrCat("on ", absl::FormatCivilTime(first), in_zone);
  }
  return absl::StrCat("from ", absl::FormatCivilTime(first), " through ",
                      absl::FormatCivilTime(last), in_zone);
}

std::string LocalZoneName() {
  const char* variable = std::getenv("TZ");
  if (variable != nullptr) {
    absl::string_view name = variable;
    absl::ConsumePrefix(&name, ":");
    absl::TimeZone zone;
    const std::string text(name);
    if (!text.empty() && text != "localtime" &&
        absl::LoadTimeZone(text, &zone)) {
      return text;
    }
    if (text.empty()) return "UTC";
  }
  std::error_code error;
  const std::string target =
      std::filesystem::canonical("/etc/localtime", error).string();
  const std::string kZones = "/zoneinfo/";
  const size_t place = target.find(kZones);
  if (error || place == std::string::npos) return "UTC";
  return target.substr(place + kZones.size());
}

absl::StatusOr<absl::TimeZone> FindZone(const std::string& name) {
  const std::string wanted = name.empty() ? LocalZoneName() : name;
  absl::TimeZone zone;
  if (wanted == "localtime" || !absl::LoadTimeZone(wanted, &zone)) {
    return UsageError(absl::StrCat("--time-zone: '", wanted,
                                   "' is no time zone that is known here"),
                      "give a name such as Europe/Berlin or UTC");
  }
  return zone;
}

}  // namespace nfmeter::cli
