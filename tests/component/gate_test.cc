// SPDX-License-Identifier: GPL-3.0-or-later
// Who has not read what he asked for is let in no more, nor is anybody when the
// server ends.
#include "service/gate/gate.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/completion_queue.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using Counters = v1::CounterService::Stub;

// A call of whose answer the beginning is read, and no more until it ends.
class UnreadList {
 public:
  UnreadList(Counters& stub, int counters) {
    v1::ListCountersRequest request;
    request.set_page_size(counters);
    context_.AddMetadata("nfmeter-max-answer-bytes", "16000000");
    call_ = stub.PrepareAsyncListCounters(&context_, request, &queue_);
    call_->StartCall();
    call_->ReadInitialMetadata(this);
    AwaitTag();
  }
  ~UnreadList() {
    context_.TryCancel();
    v1::ListCountersResponse response;
    grpc::Status status;
    call_->Finish(&response, &status, this);
    AwaitTag();
  }

 private:
  void AwaitTag() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }

  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ListCountersResponse>>
      call_;
};

TEST(GateTest, ACallerThatLeavesItsAnswersUnreadIsNotLetIn) {
  // 7 MB; some 4 MB are taken from a server though nobody reads them.
  constexpr int kObjects = 1600;
  ComponentServer server({.gate = {.max_held_bytes = 12 << 20}});
  for (int i = 0; i < kObjects; ++i) {
    const std::string name = absl::StrCat("c", i);
    server.AddObject({.name = name});
    accounting::Labels labels;
    for (int label = 0; label < 16; ++label) {
      labels[absl::StrCat("label", label)] = std::string(255, 'x');
    }
    ASSERT_OK(server.labels.Set({{name, labels}}));
  }
  const auto reason_of_a_change = [&] {
    v1::DeleteCounterRequest request;
    request.set_name("nowhere");
    v1::DeleteCounterResponse response;
    const grpc::Status status = Call(
        *server.counter_stub, &Counters::DeleteCounter, request, &response);
    return ErrorInfoOf(status).reason();
  };
  ASSERT_EQ(reason_of_a_change(), "COUNTER_NOT_FOUND");
  {
    const UnreadList list(*server.counter_stub, kObjects);
    EXPECT_TRUE(
        Eventually([&] { return reason_of_a_change() == "TOO_MUCH_HELD"; }));
  }
  EXPECT_TRUE(
      Eventually([&] { return reason_of_a_change() == "COUNTER_NOT_FOUND"; }));
}

TEST(GateTest, WhenItIsClosedOnlyCallsThatAreUnderWayGoOn) {
  ComponentServer server;
  const auto reason_of_a_call = [&] {
    v1::ListCountersResponse response;
    return ErrorInfoOf(Call(*server.counter_stub, &Counters::ListCounters, {},
                            &response))
        .reason();
  };
  EXPECT_EQ(reason_of_a_call(), "");
  grpc::ClientContext context;
  const auto watch = server.snapshot_stub->WatchSnapshots(&context, {});
  v1::WatchSnapshotsResponse frame;
  ASSERT_TRUE(watch->Read(&frame));
  server.gate.Close(absl::InfinitePast());
  EXPECT_EQ(reason_of_a_call(), "SERVER_SHUTDOWN");
  context.TryCancel();
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server.gate.Close(absl::InfiniteFuture());
}

}  // namespace
}  // namespace nfmeter::testing
