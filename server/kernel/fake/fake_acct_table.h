// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting objects in memory, for tests.
#ifndef NFMETER_KERNEL_FAKE_FAKE_ACCT_TABLE_H_
#define NFMETER_KERNEL_FAKE_FAKE_ACCT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "kernel/acct_table.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {

// Behaves as nfnetlink_acct does (the conformance suite is passed by both), in
// an order of creation, with quotas, references and a dump that is cut when the
// object at its cursor goes away. Beyond that, tests can bring on traffic and
// failures.
//
// Thread-safe. Subscriptions from WatchQuotas() must not outlive it.
class FakeAcctTable : public AcctTable {
 public:
  struct Options {
    // Records per group of a dump. A dump can be cut only between groups.
    size_t dump_group_size = 256;
  };

  FakeAcctTable();
  explicit FakeAcctTable(const Options& options);
  ~FakeAcctTable() override;

  absl::Status Probe() override;
  absl::StatusOr<AcctFeatures> Features() override;
  std::vector<absl::Status> Create(
      absl::Span<const AcctObject> objects) override;
  absl::StatusOr<AcctObject> Get(absl::string_view name) override;
  std::vector<absl::StatusOr<AcctObject>> GetAndReset(
      absl::Span<const std::string> names) override;
  std::vector<absl::Status> Delete(
      absl::Span<const std::string> names) override;
  absl::StatusOr<QuotaChange> SetQuota(absl::string_view name,
                                       const std::optional<QuotaLimit>& quota,
                                       bool dry_run) override;
  absl::Status Renew(const AcctObject& object) override;
  absl::StatusOr<AcctDumpOutcome> Dump(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records)
      override;
  absl::StatusOr<std::unique_ptr<QuotaEvents>> WatchQuotas() override;

  // Traffic: one packet batch of so many packets and bytes runs into the
  // object. Reaching a quota emits one event, as in the kernel. NOT_FOUND.
  absl::Status Count(absl::string_view name, uint64_t packets, uint64_t bytes);

  // Whether there is an object of that name; no failure is injected here.
  bool Exists(absl::string_view name) const;

  // What a rule that names the object does when it is made: NOT_FOUND; and when
  // it goes away.
  absl::Status AddReference(absl::string_view name);
  void RemoveReference(absl::string_view name);

  // The next `count` objects that `operation` touches get the status of `err`
  // and are left as they are; for a dump, a probe (kAcctGet) or a subscription
  // (kQuotaEvents) the call as a whole.
  void InjectErrno(Operation operation, int err, int count = 1);

  // The next object that `operation`, kAcctCreate or kAcctDelete, touches is
  // made or deleted, but the answer says ENOBUFS.
  void LoseNextAnswer(Operation operation);

  // Called during each dump before each group but the first, with the number
  // of records handed out so far, outside the table's lock: it may delete
  // objects or block. An empty function turns it off.
  void SetDumpHook(std::function<void(size_t records)> hook);

  // The next `count` dumps end after `records` records and are incomplete.
  void CutDumps(size_t records, int count = 1);

  // What Features() says; none at first, as of Linux's own. With stable_dump a
  // dump passes over objects that went away, and CutDumps() is of no effect;
  // with replace, quotas can be changed in place.
  void SetFeatures(const AcctFeatures& features);

  // Forgets undelivered quota events, and those of the `next` crossings from
  // now on; the next Next() of each subscription returns DATA_LOSS.
  void DropQuotaEvents(int next = 0);

  // Walks that were begun.
  int dumps() const;

 private:
  class Subscription;
  // Ordered by creation, as the kernel's list is; the key is never reused.
  using Objects = std::map<uint64_t, AcctObject>;

  std::optional<absl::Status> TakeInjected(Operation operation,
                                           absl::string_view subject)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CreateOne(const AcctObject& object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DeleteOne(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The object, or the status of a bad or unknown name.
  absl::StatusOr<AcctObject*> Find(Operation operation, absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same without injected failures.
  absl::StatusOr<AcctObject*> Lookup(Operation operation,
                                     absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  Objects objects_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> ids_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<Operation, std::deque<int>> injected_ ABSL_GUARDED_BY(mutex_);
  absl::Status Answer(Operation operation, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Operation> lost_answer_ ABSL_GUARDED_BY(mutex_);
  std::function<void(size_t)> dump_hook_ ABSL_GUARDED_BY(mutex_);
  AcctFeatures features_ ABSL_GUARDED_BY(mutex_);
  std::deque<size_t> cuts_ ABSL_GUARDED_BY(mutex_);
  int events_to_drop_ ABSL_GUARDED_BY(mutex_) = 0;
  int dumps_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<Subscription*> subscriptions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_ACCT_TABLE_H_
