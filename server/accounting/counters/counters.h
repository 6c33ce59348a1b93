// SPDX-License-Identifier: GPL-3.0-or-later
// Counters, as CounterService shows them, without gRPC.
#ifndef NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_
#define NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/paging.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"
#include "kernel/kernel.h"

namespace nfmeter::accounting {

using kernel::kDumpFromNames;

// An accounting object with what the server knows of it beside the kernel.
struct Counter {
  kernel::AcctObject object;
  Labels labels;
  absl::Time read_time;
  Book::Known account;    // what the ledger knows of it
  std::string tool_name;  // of the kernel's own tools; empty: its name
};

// Over name, quota limit, labels and description, not over what was counted.
// The same in every life of the server.
std::string CounterEtag(absl::string_view kernel_name,
                        const std::optional<kernel::QuotaLimit>& quota,
                        const Labels& labels);

// A counter that is to be changed. `name` is the kernel's bytes.
struct CounterTarget {
  std::string name;
  std::string etag;  // empty: whatever it is
};

std::vector<std::string> NamesOf(absl::Span<const CounterTarget> targets);

struct CounterQuery {
  CounterFilter filter;
  size_t page_size = 1000;
  std::string page_token;
  size_t max_bytes = kMaxPageBytes;  // of the page, as it is written
  absl::Duration max_staleness;
};

struct CounterPage {
  std::vector<Counter> counters;
  std::string next_page_token;
  size_t total_size = 0;
};

// Reads counters, one, some or all; CounterEditor changes them.
//
// Thread-safe. Single counters are read on the caller's thread, many from a
// snapshot. Does not own what it is given.
class Counters {
 public:
  // What it works with. While the kernel has no accounting objects every call
  // returns why.
  struct Parts {
    kernel::Kernel& kernel;
    SnapshotHub& snapshots;
    LabelStore& labels;
    Ledger& ledger;
    Clock& clock;
  };
  explicit Counters(const Parts& parts);

  // NOT_FOUND. Never waits for a reading of all counters: without a snapshot
  // that is recent enough this counter alone is read, and a second such call
  // within `max_staleness` has a snapshot taken for those that follow.
  absl::StatusOr<Counter> Get(absl::string_view name,
                              absl::Duration max_staleness);

  // In the order of `names`. NOT_FOUND names all that are missing.
  absl::StatusOr<std::vector<Counter>> GetMany(
      absl::Span<const std::string> names, absl::Duration max_staleness);

  // The same with nullopt for those that don't exist.
  using Found = std::vector<std::optional<Counter>>;
  absl::StatusOr<Found> Find(absl::Span<const std::string> names,
                             absl::Duration max_staleness);

  // When an object was read.
  struct ReadAt {
    absl::Time wall;
    // Not before this, since boot. Zero, where nobody knows: then its total is
    // what the ledger knows, whatever the object has.
    absl::Duration since;
  };
  struct ReadObject {
    kernel::AcctObject object;
    ReadAt at;
  };

  // As Find(), without what is known beside the objects.
  using FoundObjects = std::vector<std::optional<ReadObject>>;
  absl::StatusOr<FoundObjects> FindObjects(
      absl::Span<const absl::string_view> names, absl::Duration max_staleness);

  // The same of a reading that the caller has begun, and need not have waited
  // for: once.
  std::shared_ptr<WaitingReader> BeginReading();
  absl::StatusOr<FoundObjects> FindObjects(
      absl::Span<const absl::string_view> names, WaitingReader& reading);

  // Those of `names` that do not exist. Statuses: SnapshotHub::Take().
  absl::StatusOr<std::vector<std::string>> Missing(
      absl::Span<const std::string> names, absl::Duration max_staleness);

  // The same as Find() of one, from the kernel.
  absl::StatusOr<std::optional<Counter>> FindNow(absl::string_view name);

  // About how many bytes an answer with these counters has, labels and all.
  size_t AnswerBytes(absl::Span<const CounterTarget> targets) const;

  // One page of the counters that the filter matches, by name.
  // INVALID_ARGUMENT: the token is not of this listing. UNAVAILABLE: others
  // delete counters so fast that no complete reading succeeds.
  absl::StatusOr<CounterPage> List(const CounterQuery& query);

  // All exist and have the etags asked for. NOT_FOUND; ABORTED: another etag.
  absl::StatusOr<std::vector<Counter>> Check(
      absl::Span<const CounterTarget> targets);

  // The counter of an object that was read then.
  Counter Describe(kernel::AcctObject object, ReadAt read) const;

  // The counter of an object that has just been reset: its total is not its
  // value any more.
  Counter AfterReset(kernel::AcctObject object) const;

  // Fills in what is known of a counter that was just created, or is about to
  // be, beside its object, labels and read_time. What it started from is in no
  // total.
  void DescribeCreated(Counter& counter) const;

 private:
  class Refresh;

  // The last snapshot if it is recent enough.
  std::shared_ptr<const Snapshot> RecentSnapshot(absl::Duration max_staleness);
  // `fresh`: what it lacks was not there at the time of the call.
  absl::StatusOr<FoundObjects> FindInSnapshot(
      absl::Span<const absl::string_view> names, const Snapshot& snapshot,
      bool fresh);
  absl::StatusOr<std::optional<ReadObject>> ReadNow(absl::string_view name);
  absl::StatusOr<std::shared_ptr<const Snapshot>> CompleteSnapshot(
      absl::Duration max_staleness);

  static ReadAt At(const Snapshot& snapshot) {
    return {snapshot.wall_time, snapshot.boottime};
  }
  ReadAt Now() const { return {clock_.WallTime(), clock_.BootTime()}; }
  // Empty: its name.
  std::string ToolName(const std::string& name) const;

  absl::Status Available() const { return kernel_.capabilities()->acct; }

  kernel::Kernel& kernel_;
  kernel::AcctTable& table_;
  SnapshotHub& hub_;
  LabelStore& labels_;
  Ledger& ledger_;
  Clock& clock_;
  const std::shared_ptr<Refresh> refresh_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_
