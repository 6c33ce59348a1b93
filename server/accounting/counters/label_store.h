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
// OK. Reads come from memory. Thread-safe.
class LabelStore {
 public:
  // Opens or creates the store at `path`; an empty path keeps it in memory
  // only (tests, and servers without a state directory). FAILED_PRECONDITION:
  // the file can't be opened, or is not a store of ours.
  static absl::StatusOr<std::unique_ptr<LabelStore>> Open(
      const std::string& path);
  virtual ~LabelStore() = default;

  // Empty when the counter has none.
  virtual Labels Get(absl::string_view counter) const = 0;

  // Replaces the labels of each counter, in one transaction; empty labels
  // remove them. UNAVAILABLE: the disk is full or gone; nothing has changed.
  virtual absl::Status Set(
      absl::Span<const std::pair<std::string, Labels>> labels) = 0;

  // A counter that has labels, and what version() was when it got them (or at a
  // later time at which it had them).
  struct Labelled {
    std::string counter;
    uint64_t since = 0;
    friend bool operator==(const Labelled&, const Labelled&) = default;
  };
  virtual std::vector<Labelled> All() const = 0;

  // Removes the labels of each counter that was not given labels since then,
  // in one transaction. How many had some. UNAVAILABLE: as for Set().
  virtual absl::StatusOr<size_t> RemoveUnchanged(
      absl::Span<const Labelled> counters) = 0;

  // Changes with every change: what was derived from labels is stale then.
  virtual uint64_t version() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_LABEL_STORE_H_
