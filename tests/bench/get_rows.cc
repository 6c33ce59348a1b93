// SPDX-License-Identifier: GPL-3.0-or-later
// Unary reads, against a unary call of the same server that does nothing.
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "nfmeter/v1/counter.pb.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

constexpr int kInFlight = 8;
constexpr size_t kCounters = 100;
constexpr char kGetCounter[] = "/nfmeter.v1.CounterService/GetCounter";
// What gRPC itself serves in every server, with an empty request: the nearest
// to an empty call that the same server has.
constexpr char kEmptyCall[] = "/grpc.health.v1.Health/Check";

// One unary call, as bytes.
struct Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
};

// Calls a second over `duration`, kInFlight at a time.
absl::StatusOr<double> CallsPerSecond(grpc::GenericStub& stub,
                                      const std::string& method,
                                      const std::string& request,
                                      absl::Duration duration) {
  const grpc::Slice slice(request);
  const grpc::ByteBuffer bytes(&slice, 1);
  grpc::CompletionQueue queue;
  const auto start_call = [&] {
    auto* call = new Call;
    call->reader = stub.PrepareUnaryCall(&call->context, method, bytes, &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  };
  const absl::Time start = absl::Now();
  const absl::Time end = start + duration;
  for (int i = 0; i < kInFlight; ++i) start_call();
  size_t done = 0;
  grpc::Status failure;
  void* tag = nullptr;
  bool ok = false;
  for (int open = kInFlight; open > 0 && queue.Next(&tag, &ok);) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    ++done;
    if (!call->status.ok()) failure = call->status;
    if (absl::Now() < end && failure.ok()) {
      start_call();
    } else {
      --open;
    }
  }
  if (!failure.ok()) return FromGrpc(failure, method);
  return static_cast<double>(done) / absl::ToDoubleSeconds(absl::Now() - start);
}

absl::StatusOr<Measurement> Get(const Scale& scale,
                                absl::Duration max_staleness) {
  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  const std::vector<std::string> names = Names(kCounters);
  if (auto status = (*acct)->Create(names); !status.ok()) return status;
  auto daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();

  v1::GetCounterRequest request;
  request.set_name(names[kCounters / 2]);
  *request.mutable_max_staleness() =
      google::protobuf::util::TimeUtil::MillisecondsToDuration(
          absl::ToInt64Milliseconds(max_staleness));
  const std::string bytes = request.SerializeAsString();
  const absl::Duration duration =
      scale.small ? absl::Milliseconds(100) : absl::Seconds(2);

  grpc::GenericStub stub((*daemon)->Connect());
  std::vector<double> ours;
  std::vector<double> theirs;
  // The first of each is not counted: connections and threads start in it.
  for (int i = -1; i < scale.repetitions(); ++i) {
    auto our_rate = CallsPerSecond(stub, kGetCounter, bytes, duration);
    if (!our_rate.ok()) return our_rate.status();
    auto empty_rate = CallsPerSecond(stub, kEmptyCall, "", duration);
    if (!empty_rate.ok()) return empty_rate.status();
    if (i < 0) continue;
    ours.push_back(*our_rate);
    theirs.push_back(*empty_rate);
  }
  return Paired(ours, theirs, "calls/s");
}

}  // namespace

std::vector<Row> GetRows() {
  return {
      {"get-cached",
       "GetCounter with max_staleness, one connection, 8 in flight",
       "empty unary call of the same server (health check)", 0.9, true,
       [](const Scale& scale) { return Get(scale, absl::Hours(1)); }},
      {"get-fresh",
       "GetCounter from the kernel, 100 counters, one connection, 8 in flight",
       "empty unary call of the same server (health check)", 0.7, true,
       [](const Scale& scale) { return Get(scale, absl::ZeroDuration()); }},
  };
}

}  // namespace nfmeter::bench
