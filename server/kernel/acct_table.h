// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel's accounting objects (nfacct), in the domain's words.
#ifndef NFMETER_KERNEL_ACCT_TABLE_H_
#define NFMETER_KERNEL_ACCT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::kernel {

// From this many names on one dump is cheaper than reading each where the
// kernel walks a list to find it (KERNEL.md: break-even at 12 to 86 for 1,000
// to 50,000 objects).
inline constexpr size_t kDumpFromNames = 32;

// Longest name of an object. A kernel that has room for less has a short name
// for it, see acct_names.h.
inline constexpr size_t kAcctNameMaxBytes = 253;

// Whether an object can have this name: 1 to 253 bytes, none of them NUL.
inline bool IsAcctName(absl::string_view name) {
  return !name.empty() && name.size() <= kAcctNameMaxBytes &&
         name.find('\0') == absl::string_view::npos;
}

// How the names of objects begin that an AcctTable makes for itself and hides
// from its readers.
inline constexpr absl::string_view kAcctOwnPrefix = ".nfmeterd.";

// A limit. Reached when the value is equal to or above it.
struct QuotaLimit {
  enum class Unit { kPackets, kBytes };
  Unit unit = Unit::kPackets;
  uint64_t limit = 0;

  friend bool operator==(const QuotaLimit&, const QuotaLimit&) = default;
};

// One object. `name` is the kernel's bytes, which need not be in the API's
// alphabet when somebody else made it.
struct AcctObject {
  std::string name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::optional<QuotaLimit> quota;
  bool quota_exceeded = false;
  // Who holds it, rules mostly; the object's own reference is not counted.
  uint32_t use_count = 0;

  friend bool operator==(const AcctObject&, const AcctObject&) = default;
};

// One object during a dump: as AcctObject, with a name that lives only until
// the callback returns.
struct AcctRecord {
  absl::string_view name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::optional<QuotaLimit> quota;
  bool quota_exceeded = false;
  uint32_t use_count = 0;
};

enum class AcctDumpFilter {
  kAll,
  kQuotaExceeded,
  kStandIns,  // see StandInName() in acct_names.h; the others leave them out
};

// What came of AcctTable::SetQuota().
enum class QuotaChange {
  kDone,
  kNeedsRenewal,  // nothing: this kernel can't change a quota in place
};

// What this kernel's accounting promises beyond what Linux's own does; see
// kmod/include/nfnetlink_acct_ext.h.
struct AcctFeatures {
  bool constant_lookup = false;  // objects are found by hash, not by a walk
  bool per_cpu = false;          // packets are counted without shared lines
  bool stable_dump = false;      // see AcctDumpOutcome.guaranteed
  bool lossless_reset = false;   // a resetting dump loses nothing
  bool replace = false;          // values and quota can be replaced in place

  friend bool operator==(const AcctFeatures&, const AcctFeatures&) = default;
};

struct AcctDumpOutcome {
  // Records handed out.
  size_t records = 0;
  // The walk reached the end of the kernel's list: every object that existed
  // throughout was handed out. False: the kernel may have stopped early because
  // the object at its cursor was deleted (nfnl_acct_dump in nfnetlink_acct.c);
  // what was handed out is right, but some may be missing.
  bool complete = false;
  // It is complete by the kernel's own promise (AcctFeatures.stable_dump), not
  // by what can be told from outside: an object that was not handed out did not
  // exist throughout, and nobody need look for it.
  bool guaranteed = false;
};

// Takes in what a verified dump hands out. Must not call the table.
class AcctReader {
 public:
  virtual ~AcctReader() = default;
  // A walk of the kernel's list begins, or begins again as the one before was
  // cut short: what that one handed out is void.
  virtual void OnBegin() = 0;
  // The next objects, as of AcctTable::Dump().
  virtual void OnRecords(absl::Span<const AcctRecord> records) = 0;
};

// A subscription to quota crossings. Not thread-safe, but for Cancel().
class QuotaEvents {
 public:
  virtual ~QuotaEvents() = default;

  // Waits for the next event and returns the object as it was.
  // DATA_LOSS: the kernel dropped events (ENOBUFS); resynchronise by a dump of
  // kQuotaExceeded. CANCELLED: after Cancel().
  virtual absl::StatusOr<AcctObject> Next() = 0;

  // Makes the present and all later Next() return CANCELLED. Thread-safe.
  virtual void Cancel() = 0;
};

// The objects of one network namespace.
//
// Thread-safe. Callers see to it that Delete() and Dump() do not overlap (the
// counter lane does), else dumps come out incomplete.
//
// Statuses come from the errno table (kernel/errno_status.h): NOT_FOUND,
// ALREADY_EXISTS, FAILED_PRECONDITION (held by rules), PERMISSION_DENIED,
// RESOURCE_EXHAUSTED (ENOMEM), UNIMPLEMENTED (no nfnetlink_acct), UNAVAILABLE,
// INVALID_ARGUMENT (not a possible name, see IsAcctName).
class AcctTable {
 public:
  virtual ~AcctTable() = default;

  // Carries out a harmless read. OK: nfacct objects can be used here.
  virtual absl::Status Probe() = 0;

  // Asks what this kernel promises. Statuses as Probe().
  virtual absl::StatusOr<AcctFeatures> Features() = 0;

  // Creates each with its starting values and quota; `use_count` and
  // `quota_exceeded` are ignored. One status an object, in order: the kernel
  // has no transactions, and a failure does not stop the rest.
  virtual std::vector<absl::Status> Create(
      absl::Span<const AcctObject> objects) = 0;

  // Reads one.
  virtual absl::StatusOr<AcctObject> Get(absl::string_view name) = 0;

  // Reads each, in order, by whichever way costs least.
  virtual std::vector<absl::StatusOr<AcctObject>> GetEach(
      absl::Span<const std::string> names);

  // Reads and zeroes each in one atomic step, and re-arms quotas. Values of
  // before, in order.
  virtual std::vector<absl::StatusOr<AcctObject>> GetAndReset(
      absl::Span<const std::string> names) = 0;

  // Deletes each. One status a name, in order.
  virtual std::vector<absl::Status> Delete(
      absl::Span<const std::string> names) = 0;

  // Gives an object that exists another quota, or none, while it counts. Its
  // values stay, and the quota is armed: if it is reached already, the next
  // packet crosses it. `dry_run`: only says whether it can be done.
  virtual absl::StatusOr<QuotaChange> SetQuota(
      absl::string_view name, const std::optional<QuotaLimit>& quota,
      bool dry_run) = 0;

  // Makes an object that nothing holds anew, with the values and the quota of
  // `object`, in one step: it is never away, not even if this process ends.
  // FAILED_PRECONDITION: it is held, and is as it was.
  virtual absl::Status Renew(const AcctObject& object) = 0;

  // One walk over the kernel's list: hands out all objects that pass the
  // filter, in the kernel's order, in groups as they arrive (some hundreds
  // each). Not `complete` where it was cut, or where that can't be told at no
  // cost. After a status other than OK the groups handed out so far are void.
  // `on_records` must not call the table.
  virtual absl::StatusOr<AcctDumpOutcome> Dump(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) = 0;

  // Walks again until one is known to be complete, by whatever means the kernel
  // has to find that out. Not `complete`: others deleted objects so fast that
  // kMaxWalks were all cut; then the last one stands.
  static constexpr int kMaxWalks = 5;
  virtual absl::StatusOr<AcctDumpOutcome> DumpVerified(AcctDumpFilter filter,
                                                       AcctReader& reader);

  // Subscribes to quota crossings from now on.
  virtual absl::StatusOr<std::unique_ptr<QuotaEvents>> WatchQuotas() = 0;
};

// A record of a dump as a value.
AcctObject ObjectOf(const AcctRecord& record);

std::vector<std::string> NamesOf(absl::Span<const AcctObject> objects);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_ACCT_TABLE_H_
