// SPDX-License-Identifier: Apache-2.0
// The fleet's usage in a SQLite file: for one collector, without a server.
#ifndef NFMETER_COLLECTOR_SQLITE_SINK_H_
#define NFMETER_COLLECTOR_SQLITE_SINK_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "collector/sink.h"
#include "collector/sqlite.h"

namespace nfmeter::collector {

// One writer, serialised by a mutex. A lock on PATH.lock keeps other collectors
// out, so what a killed one held is free at once. Thread-safe.
class SqliteSink final : public Sink {
 public:
  struct Options {
    std::string path;
    // Only reads: takes no lock. For `status`.
    bool only_inspect = false;
    absl::Duration keep_records = absl::Hours(30 * 24);
    absl::Duration keep_five_minutes = absl::Hours(90 * 24);
    // The sink's time.
    std::function<absl::Time()> now = absl::Now;
  };

  // FAILED_PRECONDITION: another collector uses the file, it is another
  // program's, or a newer nfmeter-collector's; else as sqlite::Database.
  static absl::StatusOr<std::unique_ptr<SqliteSink>> Open(Options options);
  ~SqliteSink() override;

  absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                absl::Duration ttl) override;
  absl::Status Leave(const std::string& name) override;
  absl::StatusOr<std::vector<Lease>> KeepLeases(const std::string& name,
                                                absl::Span<const int> shards,
                                                absl::Duration ttl) override;
  absl::StatusOr<std::optional<KnownNode>> FindNode(
      const std::string& name) override;
  absl::StatusOr<std::optional<KnownNode>> FindNodeById(
      const std::string& node_id) override;
  absl::Status Store(const Batch& batch) override;
  absl::Status Report(const std::string& collector,
                      absl::Span<const TargetReport> targets) override;
  absl::StatusOr<FleetStatus> Inspect() override;
  absl::Status Tidy() override;

 private:
  class Statements;

  explicit SqliteSink(Options options);

  absl::Status Prepare();
  absl::Status Migrate();
  absl::StatusOr<std::optional<KnownNode>> Find(sqlite::Statement& by,
                                                const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckLease(const Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> MoveCursor(const Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status KeepRecord(const Batch& batch, int64_t node,
                          const v1::UsageRecord& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status KeepGaps(const Batch& batch, int64_t node)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t Now() const { return absl::ToUnixMicros(options_.now()); }

  const Options options_;
  int lock_fd_ = -1;

  absl::Mutex mutex_;
  std::unique_ptr<sqlite::Database> db_ ABSL_PT_GUARDED_BY(mutex_);
  std::unique_ptr<Statements> statements_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_SQLITE_SINK_H_
