// SPDX-License-Identifier: GPL-3.0-or-later
// Whole snapshots, as a controller gets them.
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nfmeter/client.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

// Wall time in milliseconds of one of the things compared.
using Timed = std::function<absl::StatusOr<double>()>;

// A snapshot read from the kernel now, received and decoded by the SDK.
Timed ThroughServer(Client& client, size_t counters) {
  return [&client, counters]() -> absl::StatusOr<double> {
    const absl::Time start = absl::Now();
    const absl::StatusOr<Snapshot> snapshot = client.GetSnapshot();
    const absl::Duration taken = absl::Now() - start;
    if (!snapshot.ok()) return snapshot.status();
    if (!snapshot->complete || snapshot->size() != counters) {
      return absl::InternalError(
          absl::StrCat("a snapshot of ", counters, " has ", snapshot->size()));
    }
    return absl::ToDoubleMilliseconds(taken);
  };
}

Timed BareDump(BareAcct& acct, size_t counters) {
  return [&acct, counters]() -> absl::StatusOr<double> {
    const absl::Time start = absl::Now();
    const absl::StatusOr<size_t> dumped = acct.Dump();
    const absl::Duration taken = absl::Now() - start;
    if (!dumped.ok()) return dumped.status();
    if (*dumped != counters) {
      return absl::InternalError(
          absl::StrCat("a dump of ", counters, " has ", *dumped));
    }
    return absl::ToDoubleMilliseconds(taken);
  };
}

Timed NfacctList() {
  return []() -> absl::StatusOr<double> {
    const absl::Time start = absl::Now();
    const testing::RunResult result = testing::Run({"nfacct", "list"});
    const absl::Duration taken = absl::Now() - start;
    if (result.exit_code != 0) return absl::InternalError(result.err);
    return absl::ToDoubleMilliseconds(taken);
  };
}

absl::StatusOr<Measurement> Compare(const Scale& scale, size_t counters,
                                    bool with_nfacct) {
  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  if (auto s = (*acct)->Create(Names(counters)); !s.ok()) return s;
  auto daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  auto client = Client::Connect({.address = (*daemon)->address()});
  if (!client.ok()) return client.status();

  const Timed ours = ThroughServer(**client, counters);
  const Timed theirs = with_nfacct ? NfacctList() : BareDump(**acct, counters);
  std::vector<double> our_times;
  std::vector<double> their_times;
  // Short runs are repeated more often; the first pair only warms up.
  const int pairs = scale.small ? 1 : counters > 20'000 ? 15 : 101;
  for (int i = -1; i < pairs; ++i) {
    auto our_time = ours();
    if (!our_time.ok()) return our_time.status();
    auto their_time = theirs();
    if (!their_time.ok()) return their_time.status();
    if (i < 0) continue;
    our_times.push_back(*our_time);
    their_times.push_back(*their_time);
  }
  // "At least N times faster" is theirs over ours.
  if (!with_nfacct) return Paired(our_times, their_times, "ms");
  Measurement faster = Paired(their_times, our_times, "ms");
  std::swap(faster.ours, faster.theirs);
  return faster;
}

}  // namespace

std::vector<Row> SnapshotRows() {
  return {
      {"snapshot-10k",
       "GetSnapshot of 10,000 counters, COLUMNS, fresh, received and decoded",
       "bare libmnl dump loop with a 256 KiB buffer", 1.5, false,
       [](const Scale& scale) {
         return Compare(scale, scale.Of(10'000, 100), false);
       }},
      {"snapshot-50k",
       "GetSnapshot of 50,000 counters, COLUMNS, fresh, received and decoded",
       "bare libmnl dump loop with a 256 KiB buffer", 1.3, false,
       [](const Scale& scale) {
         return Compare(scale, scale.Of(50'000, 200), false);
       }},
      {"snapshot-vs-nfacct-50k",
       "GetSnapshot of 50,000 counters, COLUMNS, fresh, received and decoded",
       "nfacct list", 5, true,
       [](const Scale& scale) {
         return Compare(scale, scale.Of(50'000, 200), true);
       }},
  };
}

}  // namespace nfmeter::bench
