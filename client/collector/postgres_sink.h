// SPDX-License-Identifier: Apache-2.0
// The fleet's usage in PostgreSQL, or in what speaks its protocol.
#ifndef NFMETER_COLLECTOR_POSTGRES_SINK_H_
#define NFMETER_COLLECTOR_POSTGRES_SINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "collector/postgres.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// Each batch is one transaction: records by binary COPY, then all else in one
// call of nfmeter.store_batch(), which is sent together with COMMIT: it checks
// the lease's token and moves the cursor last, so that locks on either are held
// for as long as the server works alone. Thread-safe: a few connections, which
// callers take in turn.
class PostgresSink final : public Sink {
 public:
  struct Options {
    std::string url;  // libpq's
    int connections = 4;
    // Neither makes nor migrates the schema.
    bool only_inspect = false;
    // With it: that storing is allowed.
    bool check_rights = false;
  };

  // Makes the schema `nfmeter`, or migrates it. FAILED_PRECONDITION: it is a
  // newer nfmeter-collector's; else as postgres::Connection. NOT_FOUND: there
  // is none to inspect.
  static absl::StatusOr<std::unique_ptr<PostgresSink>> Open(Options options);

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
  absl::StatusOr<int> RelayEvents(
      const std::function<absl::Status(const Event&)>& send) override;
  absl::Status Tidy() override;

 private:
  class Borrowed;

  explicit PostgresSink(Options options);

  absl::Status CheckSchema();
  absl::StatusOr<std::optional<KnownNode>> Find(const char* where,
                                                const std::string& key);
  // The key of a node, made where there is none.
  absl::StatusOr<int32_t> NodeKey(postgres::Connection& connection,
                                  const Batch& batch);

  const Options options_;
  const std::string tidier_;  // this sink's name in the lease of Tidy()
  postgres::Connection leases_connection_ ABSL_GUARDED_BY(leases_mutex_);
  absl::Mutex leases_mutex_;  // apart: leases never wait for records
  postgres::Connection tidy_connection_;

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<postgres::Connection>> idle_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int32_t> node_keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_SINK_H_
