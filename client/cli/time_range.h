// SPDX-License-Identifier: Apache-2.0
// Times as people give them: "24h", "yesterday", "2026-11".
#ifndef NFMETER_CLI_TIME_RANGE_H_
#define NFMETER_CLI_TIME_RANGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter::cli {

struct TimeRange {
  absl::Time from;
  absl::Time to;  // not in it
};

// From `since` to `until`. Either is
//   24h, 90m, 7d, 2w                 so long before `now`
//   now, today, yesterday, this-month, last-month
//   2026, 2026-11, 2026-11-05        a year, a month, a day of `zone`
//   2026-11-05T10:00, ...T10:00:30   a moment; of UTC with a Z behind it
// A day, month or year begins the range with its beginning and ends it with its
// end; without `until` ("") one that is `since` is the range, and else the
// range ends now. INVALID_ARGUMENT names the flag and what is wrong.
absl::StatusOr<TimeRange> ParseTimeRange(absl::string_view since,
                                         absl::string_view until,
                                         absl::TimeZone zone, absl::Time now);

// What the range includes, in words: "from 2026-11-01 through 2026-11-30
// (Europe/Berlin), so far" where it is of whole days of `zone`, "on 2026-11-05
// (UTC)" where it is one, else "from 2026-11-04 23:30 until 2026-11-05 23:30
// (UTC)". "So far": it ends after `now`.
std::string DescribeRange(const TimeRange& range, absl::TimeZone zone,
                          absl::Time now);

// The zone that this process runs in, by its name of the tz database, which
// means the same elsewhere: of TZ, else of /etc/localtime; "UTC" where neither
// says.
std::string LocalZoneName();

// The zone of that name; "": LocalZoneName(). INVALID_ARGUMENT: there is none.
absl::StatusOr<absl::TimeZone> FindZone(const std::string& name);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_TIME_RANGE_H_
