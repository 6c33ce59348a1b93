// SPDX-License-Identifier: GPL-3.0-or-later
// Those who read the ledger's records, and how far each has got.
#ifndef NFMETER_ACCOUNTING_LEDGER_CONSUMERS_H_
#define NFMETER_ACCOUNTING_LEDGER_CONSUMERS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace nfmeter::accounting {

struct Consumer {
  std::string name;
  std::string owner;      // the principal that made it
  uint64_t sequence = 0;  // acknowledged
  absl::Time create_time;
  absl::Time ack_time = absl::InfinitePast();

  friend bool operator==(const Consumer&, const Consumer&) = default;
};

// In memory; the ledger's writer takes what changed to the file. Thread-safe.
class Consumers {
 public:
  static constexpr size_t kMaxConsumers = 100;

  void Load(std::vector<Consumer> consumers);

  // The consumer of that name, made if need be with `sequence` acknowledged.
  // RESOURCE_EXHAUSTED: there are too many. PERMISSION_DENIED: it is somebody
  // else's, and the caller may not see all.
  absl::StatusOr<Consumer> Attach(absl::string_view name,
                                  absl::string_view owner, bool sees_all,
                                  uint64_t sequence, absl::Time now);
  // Notes that the consumer has everything up to `sequence`. Never goes back,
  // unless `exactly`.
  void Acknowledge(absl::string_view name, uint64_t sequence, absl::Time now,
                   bool exactly = false);
  // NOT_FOUND. PERMISSION_DENIED: as above.
  absl::Status Remove(absl::string_view name, absl::string_view owner,
                      bool sees_all);

  // By name.
  std::vector<Consumer> All() const;
  // The least that any has acknowledged; none: there is no consumer.
  std::optional<uint64_t> LeastAcknowledged() const;

  // What has changed since the last call, to be written.
  struct Changes {
    std::vector<Consumer> put;
    std::vector<std::string> removed;
    bool empty() const { return put.empty() && removed.empty(); }
  };
  Changes Take();
  // The ledger has begun anew: what consumers have acknowledged are none of its
  // records.
  void BeginAnew();
  // They could not be written.
  void GiveBack(const Changes& changes);

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, Consumer, std::less<>> consumers_
      ABSL_GUARDED_BY(mutex_);
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_CONSUMERS_H_
