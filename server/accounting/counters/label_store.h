// SPDX-License-Identifier: GPL-3.0-or-later
// The labels of counters, which the kernel has no room for.
#ifndef NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_
#define NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

// Labels by counter name (the kernel's bytes). Durable when a mutation returns
// OK. Reads come from memory, which is bounded: where the file holds more (an
// older server's, or the bound was higher), the names that come last stay on
// the disk, are read from there, and come into memory when others go.
// Thread-safe.
class LabelStore {
 public:
  // Bytes of memory that labels take, see WeightOf().
  struct Bounds {
    size_t max_bytes = 128 << 20;
    // Of the counters of one scope, if that is not all counters: so that one
    // caller leaves room for others.
    size_t max_bytes_per_scope = 32 << 20;
  };

  // Opens or creates the store at `path`; an empty path keeps it in memory
  // only (tests, and servers without a state directory). Where the disk takes
  // nothing, what is there is read, and Set() fails until it does.
  // `awaits_new_file`: what is there is damaged, and BeginAnew() will be called
  // when there is another. FAILED_PRECONDITION: the file can't be opened, or is
  // not a store of ours.
  static absl::StatusOr<std::unique_ptr<LabelStore>> Open(
      const std::string& path, const Bounds& bounds,
      bool awaits_new_file = false);
  static absl::StatusOr<std::unique_ptr<LabelStore>> Open(
      const std::string& path) {
    return Open(path, Bounds());
  }

  // What the labels of a counter count for: their bytes, those of its name, and
  // what containers add. 0 for none.
  static size_t WeightOf(absl::string_view counter, const Labels& labels);

  // Empty when the counter has none, or (which only a failing disk does) when
  // they are on the disk and can't be read.
  Labels Get(absl::string_view counter) const;
  // Hands out the labels of each, by its index, in any order; see Get(). They
  // live until `visit` returns, which must not call the store.
  void Visit(
      absl::Span<const absl::string_view> counters,
      absl::FunctionRef<void(size_t index, const Labels& labels)> visit) const;

  using Changes = absl::Span<const std::pair<std::string, Labels>>;

  // Replaces the labels of each counter, in one transaction; empty labels
  // remove them. The counters lie in the caller's `scope`. Nothing has changed
  // after an error: RESOURCE_EXHAUSTED, TOO_MANY_LABELS: they would be more
  // than the bounds, and more than before; UNAVAILABLE: the disk is full or
  // gone.
  absl::Status Set(Changes labels, const CounterScope& scope = {}) {
    return Set(labels, scope, Kind::kWrite);
  }

  // Calls `changed` after each Set(), for each counter. Before there are other
  // threads.
  void WhenChanged(std::function<void(absl::string_view counter)> changed) {
    changed_ = std::move(changed);
  }

  // As Set(), and durable when Sync() returns OK.
  absl::Status SetSoon(Changes labels, const CounterScope& scope) {
    return Set(labels, scope, Kind::kWriteLater);
  }
  // UNAVAILABLE: the disk does not take what SetSoon() was given, which may be
  // lost when the power is.
  absl::Status Sync();

  // Whether Set() would find room now: OK or TOO_MANY_LABELS.
  absl::Status CheckRoom(Changes labels, const CounterScope& scope) const;

  struct Use {
    size_t memory_bytes = 0;
    size_t disk_bytes = 0;  // of counters whose labels are only there
  };
  Use use() const;

  // A counter that has labels, and what version() was when it got them (or at a
  // later time at which it had them).
  struct Labelled {
    std::string counter;
    uint64_t since = 0;
    friend bool operator==(const Labelled&, const Labelled&) = default;
  };
  // Those in memory.
  std::vector<Labelled> All() const;

  // Removes the labels of each counter that was not given labels since then,
  // in one transaction. How many had some. UNAVAILABLE: as for Set().
  absl::StatusOr<size_t> RemoveUnchanged(absl::Span<const Labelled> counters);

  // The file was replaced by a new one: what is in memory goes into that.
  absl::Status BeginAnew();

  // Changes with every change: what was derived from labels is stale then.
  uint64_t version() const { return version_; }

 private:
  // `db` may be null: memory only, or the file is still to come.
  LabelStore(std::string path, std::unique_ptr<sqlite::Database> db,
             const Bounds& bounds);

  using Kind = sqlite::Transaction::Kind;
  struct Entry {
    Labels labels;
    uint64_t since = 0;
  };
  // Scopes whose weight is kept up to date; beyond, all are weighed anew.
  static constexpr size_t kMaxScopes = 256;

  absl::Status Load();
  bool IsInMemory(absl::string_view counter) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !on_disk_.has_value() || counter <= *on_disk_;
  }
  Labels ReadFromDisk(absl::string_view counter) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status LoadMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status CheckGrowth(Changes changes, const CounterScope& scope) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  size_t WeightOfScope(const CounterScope& scope) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Replace(const std::string& counter, Labels labels)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Set(Changes labels, const CounterScope& scope, Kind kind);
  absl::Status Change(Changes changes, Kind kind)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status Write(Changes changes, Kind kind)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Whether there may be rows of a counter.
  bool MayHaveRows(absl::string_view counter) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !IsInMemory(counter) || entries_.contains(counter);
  }
  absl::Status OpenNewFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  bool IsUnchanged(const Labelled& counter) const ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string path_;
  const Bounds bounds_;
  std::function<void(absl::string_view counter)> changed_;
  // Held over what the disk does, so that readers of memory don't wait for it.
  mutable absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  bool awaits_new_file_ ABSL_GUARDED_BY(write_mutex_);
  std::unique_ptr<sqlite::Database> db_ ABSL_GUARDED_BY(write_mutex_);
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  // Counters after this one are only on the disk; none: all are in memory.
  std::optional<std::string> on_disk_ ABSL_GUARDED_BY(mutex_);
  Use use_ ABSL_GUARDED_BY(mutex_);
  // Those asked for lately, and what their counters in memory weigh.
  mutable absl::flat_hash_map<CounterScope, size_t> scopes_
      ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> version_{0};
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_
