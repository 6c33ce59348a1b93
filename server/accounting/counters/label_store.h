// SPDX-License-Identifier: GPL-3.0-or-later
// The labels of counters, which the kernel has no room for.
#ifndef NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_
#define NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"

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
  virtual ~LabelStore() = default;

  // What the labels of a counter count for: their bytes, those of its name, and
  // what containers add. 0 for none.
  static size_t WeightOf(absl::string_view counter, const Labels& labels);

  // Empty when the counter has none, or (which only a failing disk does) when
  // they are on the disk and can't be read.
  virtual Labels Get(absl::string_view counter) const = 0;

  using Changes = absl::Span<const std::pair<std::string, Labels>>;

  // Replaces the labels of each counter, in one transaction; empty labels
  // remove them. The counters lie in the caller's `scope`. Nothing has changed
  // after an error: RESOURCE_EXHAUSTED, TOO_MANY_LABELS: they would be more
  // than the bounds, and more than before; UNAVAILABLE: the disk is full or
  // gone.
  virtual absl::Status Set(Changes labels, const CounterScope& scope = {}) = 0;

  // As Set(), and durable when Sync() returns OK.
  virtual absl::Status SetSoon(Changes labels, const CounterScope& scope) = 0;
  // UNAVAILABLE: the disk does not take what SetSoon() was given, which may be
  // lost when the power is.
  virtual absl::Status Sync() = 0;

  // Whether Set() would find room now: OK or TOO_MANY_LABELS.
  virtual absl::Status CheckRoom(Changes labels,
                                 const CounterScope& scope) const = 0;

  struct Use {
    size_t memory_bytes = 0;
    size_t disk_bytes = 0;  // of counters whose labels are only there
  };
  virtual Use use() const = 0;

  // A counter that has labels, and what version() was when it got them (or at a
  // later time at which it had them).
  struct Labelled {
    std::string counter;
    uint64_t since = 0;
    friend bool operator==(const Labelled&, const Labelled&) = default;
  };
  // Those in memory.
  virtual std::vector<Labelled> All() const = 0;

  // Removes the labels of each counter that was not given labels since then,
  // in one transaction. How many had some. UNAVAILABLE: as for Set().
  virtual absl::StatusOr<size_t> RemoveUnchanged(
      absl::Span<const Labelled> counters) = 0;

  // The file was replaced by a new one: what is in memory goes into that.
  virtual absl::Status BeginAnew() = 0;

  // Changes with every change: what was derived from labels is stale then.
  virtual uint64_t version() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_
