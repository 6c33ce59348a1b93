// nfmeter.v1.SnapshotService over accounting::SnapshotHub.
#ifndef NFMETER_SERVICE_SNAPSHOT_SERVICE_H_
#define NFMETER_SERVICE_SNAPSHOT_SERVICE_H_

#include <memory>

#include "absl/status/status.h"
#include "accounting/label_store.h"
#include "accounting/snapshot_hub.h"
#include "base/clock.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "service/limits.h"
#include "service/stream_budget.h"

namespace nfmeter::service {

class SnapshotStreams;

// Both methods are raw: each distinct frame is encoded once, and the same bytes
// are written to every stream that is due for it.
//
// Thread-safe. Must be destroyed after the gRPC server, and before the hub.
// Does not own what it is given.
class SnapshotService final
    : public v1::SnapshotService::WithRawCallbackMethod_GetSnapshot<
          v1::SnapshotService::WithRawCallbackMethod_WatchSnapshots<
              v1::SnapshotService::Service>> {
 public:
  // When `available` is not OK, every call ends with it.
  SnapshotService(accounting::SnapshotHub& hub,
                  const accounting::LabelStore& labels, const Limits& limits,
                  StreamBudget& budget,
                  absl::Status available = absl::OkStatus());
  ~SnapshotService() override;

  grpc::ServerWriteReactor<grpc::ByteBuffer>* GetSnapshot(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchSnapshots(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

  // Ends all streams, and new ones at once, with UNAVAILABLE and reason
  // SERVER_SHUTDOWN. A stream whose client does not read ends at the deadline
  // of grpc::Server::Shutdown(), so call that next.
  void Shutdown();

 private:
  const Limits limits_;
  const absl::Status available_;
  const std::unique_ptr<SnapshotStreams> streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SERVICE_H_
