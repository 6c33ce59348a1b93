// SPDX-License-Identifier: Apache-2.0
// What is behind a UsageCollector.
#ifndef NFMETER_CLIENT_SRC_USAGE_STREAM_H_
#define NFMETER_CLIENT_SRC_USAGE_STREAM_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "grpcpp/grpcpp.h"
#include "nfmeter/usage.h"
#include "nfmeter/v1/usage.grpc.pb.h"

namespace nfmeter::client_internal {

// One stream in both directions after the other. The thread in Next() opens,
// reads and ends them; acknowledgements are written by whoever gives them, one
// at a time: while one is under way, the newest waits.
//
// Not thread-safe but for Acknowledge() and Cancel().
class UsageStream {
 public:
  UsageStream(std::shared_ptr<Connection> connection,
              const v1::CollectUsageStart& start,
              const CollectOptions& options);
  // Lets the last acknowledgement out.
  ~UsageStream();
  UsageStream(const UsageStream&) = delete;
  UsageStream& operator=(const UsageStream&) = delete;

  // See UsageCollector.
  absl::StatusOr<CollectedRecord> Next();
  void Acknowledge(const v1::UsagePosition& position);
  void Cancel() { retry_.Cancel(); }

 private:
  struct Call;

  std::shared_ptr<Call> call() ABSL_LOCKS_EXCLUDED(mutex_);
  bool Open();
  absl::StatusOr<bool> Read(v1::UsageRecord* record);
  absl::Status Check(const v1::UsageRecord& record) const;
  bool NoteReturned(const v1::UsagePosition& position);
  bool BeginsAnew(const absl::Status& failure);
  void SendAcknowledgement() ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWritten(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  void LetAcknowledgementOut(Call& call);
  absl::Status End();
  void Drop();

  v1::CollectUsageStart start_;  // with what was acknowledged when it began
  const bool start_anew_;
  StreamRetry retry_;
  absl::Status final_;      // not OK: what Next() returns from now on
  v1::UsagePosition read_;  // of this stream's last record, or where it began
  bool read_any_ = false;   // on this stream
  bool anew_ = false;       // the next record is
  uint64_t connections_ = 0;

  absl::Mutex mutex_;
  // By Next(), and by the caller; epoch 0, which no ledger has: nothing.
  v1::UsagePosition returned_ ABSL_GUARDED_BY(mutex_);
  v1::UsagePosition acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mutex_);  // set by Next() only
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_USAGE_STREAM_H_
