// SPDX-License-Identifier: Apache-2.0
// What is behind a QuotaWatch.
#ifndef NFMETER_CLIENT_SRC_QUOTA_STREAM_H_
#define NFMETER_CLIENT_SRC_QUOTA_STREAM_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::client_internal {

// Remembers which counters it told of. Not thread-safe but for Cancel().
class QuotaStream {
 public:
  QuotaStream(std::shared_ptr<Connection> connection,
              const v1::WatchQuotaEventsRequest& request,
              const WatchOptions& options);

  absl::StatusOr<QuotaEvent> Next();
  void Cancel() { stream_.Cancel(); }

 private:
  const v1::WatchQuotaEventsRequest request_;
  ResumingStream<v1::WatchQuotaEventsResponse> stream_;
  absl::Status final_;               // not OK: what Next() returns from now on
  std::optional<uint64_t> streams_;  // opened after the first
  absl::flat_hash_set<std::string> told_;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_QUOTA_STREAM_H_
