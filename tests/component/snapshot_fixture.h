// SPDX-License-Identifier: GPL-3.0-or-later
// SnapshotService and WatchQuotaEvents on a real gRPC server over fakes.
#ifndef NFMETER_TESTS_COMPONENT_SNAPSHOT_FIXTURE_H_
#define NFMETER_TESTS_COMPONENT_SNAPSHOT_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/quotas/quota_hub.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "gmock/gmock.h"
#include "grpc/grpc.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_kernel.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "security/access/authorizer.h"
#include "security/listen/marked_credentials.h"
#include "service/counter/quota_stream.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/stream_set.h"
#include "service/snapshot/snapshot_service.h"
#include "tests/component/rpc_errors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {

// The one streaming method of CounterService, alone.
class QuotaOnlyService final
    : public service::GatedService<v1::CounterService> {
 public:
  QuotaOnlyService(service::Gate& gate, service::QuotaStreams& streams)
      : GatedService(gate), streams_(streams) {
    Stream("WatchQuotaEvents", &QuotaOnlyService::WatchQuotaEvents);
  }

 private:
  absl::Status WatchQuotaEvents(const service::Call& call,
                                const v1::WatchQuotaEventsRequest& request) {
    return streams_.Watch(call, request);
  }

  service::QuotaStreams& streams_;
};

// Adds a chunk to its frame as a receiver does: protobuf's merge would replace
// the names.
inline void AddChunk(const v1::SnapshotFrame& chunk, v1::SnapshotFrame* frame) {
  const std::string names =
      frame->columns().new_names() + chunk.columns().new_names();
  frame->MergeFrom(chunk);
  if (!names.empty()) frame->mutable_columns()->set_new_names(names);
}

class SnapshotFixture : public ::testing::Test {
 protected:
  // Keeps gRPC running until the process ends: shutting it down with the last
  // channel can take the 10 s of a poll that is under way.
  static void SetUpTestSuite() { grpc_init(); }

  void SetUp() override { Start(); }
  void TearDown() override { Stop(); }

  // (Re)starts the server with limits_; what the kernel lacks, available_, may
  // change between calls.
  void Start() {
    Stop();
    labels_ = *accounting::LabelStore::Open("");
    ledger_ = *accounting::Ledger::Create({}, clock_);
    hub_ =
        accounting::SnapshotHub::Create({table_, lane_, observers_, clock_},
                                        {.max_counters = limits_.max_counters});
    const int dumps = table_.dumps();
    quota_hub_ =
        accounting::QuotaHub::Create(table_, lane_, clock_, {.max_queue = 8});
    // Its first reading is over before a test cuts dumps or makes them fail.
    while (table_.dumps() == dumps) {
      std::this_thread::yield();
    }
    ASSERT_OK(lane_.Run(accounting::Lane::Priority::kNormal,
                        [] { return absl::OkStatus(); }));
    budget_ = std::make_unique<service::StreamBudget>(limits_.max_streams);
    streams_ = std::make_unique<service::StreamSet>(*budget_);
    const std::string path =
        absl::StrCat(::testing::TempDir(), "/nfm-", getpid(), ".sock");
    authorizer_ = std::make_unique<security::Authorizer>(
        std::vector<security::ListenerGrant>{
            {.principal = security::SocketName(path),
             .role = security::Role::kAdmin}});
    gate_ = std::make_unique<service::Gate>(
        *authorizer_, std::vector<telemetry::CallObserver*>(),
        service::Gate::Options());
    counter_reader_ = std::make_unique<accounting::Counters>(
        accounting::Counters::Parts{.kernel = kernel_,
                                    .snapshots = *hub_,
                                    .labels = *labels_,
                                    .ledger = *ledger_,
                                    .clock = clock_});
    snapshots_ = std::make_unique<service::SnapshotService>(
        *gate_,
        service::SnapshotParts{.hub = *hub_,
                               .counters = *counter_reader_,
                               .labels = *labels_,
                               .ledger = *ledger_,
                               .streams = *streams_},
        limits_, [this] { return available_; });
    quotas_ = std::make_unique<service::QuotaStreams>(
        *quota_hub_, *counter_reader_, *labels_, *streams_,
        [this] { return available_; });
    counters_ = std::make_unique<QuotaOnlyService>(*gate_, *quotas_);
    grpc::ServerBuilder builder;
    address_ = absl::StrCat("unix:", path);
    builder.AddListeningPort(address_,
                             security::SocketCredentials(path, *authorizer_));
    builder.RegisterService(snapshots_.get());
    builder.RegisterService(counters_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ = NewChannel();
    stub_ = v1::SnapshotService::NewStub(channel_);
    counter_stub_ = v1::CounterService::NewStub(channel_);
  }

  void Stop() {
    if (server_ == nullptr) return;
    streams_->Shutdown();
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::milliseconds(200));
    server_.reset();
    counters_.reset();
    snapshots_.reset();
    quotas_.reset();
    counter_reader_.reset();
    hub_.reset();
    quota_hub_.reset();
  }

  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(
        address_, grpc::InsecureChannelCredentials(), arguments);
  }

  void Create(const std::string& prefix, int count) {
    std::vector<kernel::AcctObject> objects;
    for (int i = 0; i < count; ++i) {
      objects.push_back({.name = absl::StrCat(prefix, i)});
    }
    for (const auto& status : table_.Create(objects)) ASSERT_OK(status);
  }
  void Create(const std::string& name, kernel::AcctObject object = {}) {
    object.name = name;
    ASSERT_OK(table_.Create({object})[0]);
  }
  void Count(const std::string& name, uint64_t packets = 1,
             uint64_t bytes = 100) {
    ASSERT_OK(table_.Count(name, packets, bytes));
  }

  // Moves on to the next multiple of a second, for which the ticker waits, and
  // lets the reading happen.
  void Tick() {
    const absl::Duration due =
        absl::Floor(clock_.BootTime(), absl::Seconds(1)) + absl::Seconds(1);
    clock_.AwaitWaiter(due);
    clock_.Advance(due - clock_.BootTime());
    clock_.AwaitWaiter(due + absl::Seconds(1));
    ASSERT_OK(lane_.Run(accounting::Lane::Priority::kNormal,
                        [] { return absl::OkStatus(); }));
  }

  // GetSnapshot as one frame, with all chunks merged.
  grpc::Status Get(const v1::GetSnapshotRequest& request,
                   v1::SnapshotFrame* frame, int* chunks = nullptr) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    auto reader = stub_->GetSnapshot(&context, request);
    v1::GetSnapshotResponse response;
    while (reader->Read(&response)) {
      if (response.frame().restarted()) frame->Clear();
      AddChunk(response.frame(), frame);
      if (chunks != nullptr) ++*chunks;
    }
    return reader->Finish();
  }

  kernel::FakeKernel kernel_;
  kernel::FakeAcctTable& table_ = kernel_.acct();
  FakeClock clock_;
  accounting::CounterObservers observers_;
  accounting::Lane lane_{"lane", 10'000};
  service::Limits limits_;
  absl::Status available_;
  std::unique_ptr<accounting::LabelStore> labels_;
  std::unique_ptr<accounting::Ledger> ledger_;
  std::unique_ptr<accounting::SnapshotHub> hub_;
  std::unique_ptr<accounting::QuotaHub> quota_hub_;
  std::unique_ptr<accounting::Counters> counter_reader_;
  std::unique_ptr<service::StreamBudget> budget_;
  std::unique_ptr<service::StreamSet> streams_;
  std::unique_ptr<security::Authorizer> authorizer_;
  std::unique_ptr<service::Gate> gate_;
  std::unique_ptr<service::SnapshotService> snapshots_;
  std::unique_ptr<service::QuotaStreams> quotas_;
  std::unique_ptr<QuotaOnlyService> counters_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SnapshotService::Stub> stub_;
  std::unique_ptr<v1::CounterService::Stub> counter_stub_;
};

// A stream of frames, whole ones.
class Watch {
 public:
  Watch(v1::SnapshotService::Stub& stub,
        const v1::WatchSnapshotsRequest& request) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
    reader_ = stub.WatchSnapshots(&context_, request);
  }

  // The next frame with its chunks merged; nullopt when the stream has ended.
  std::optional<v1::WatchSnapshotsResponse> Next() {
    v1::WatchSnapshotsResponse whole;
    v1::WatchSnapshotsResponse message;
    chunks = 0;
    do {
      if (!reader_->Read(&message)) return std::nullopt;
      EXPECT_EQ(message.frame().chunk_index(), static_cast<uint32_t>(chunks));
      if (chunks == 0) whole.set_missed_frames(message.missed_frames());
      AddChunk(message.frame(), whole.mutable_frame());
      ++chunks;
    } while (!message.frame().last_chunk());
    return whole;
  }

  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() { return reader_->Finish(); }

  int chunks = 0;  // of the last frame

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchSnapshotsResponse>> reader_;
};

// What a receiver of columns knows after some frames.
class ColumnReader {
 public:
  // name -> packets of the frame's rows.
  std::map<std::string, uint64_t> Rows(const v1::SnapshotFrame& frame) {
    const v1::SnapshotColumns& columns = frame.columns();
    std::vector<std::string> names = absl::StrSplit(columns.new_names(), '\n');
    EXPECT_EQ(names.back(), "");
    names.pop_back();
    const auto& ids =
        columns.new_ids().empty() ? columns.ids() : columns.new_ids();
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_TRUE(names_.emplace(ids[i], names[i]).second)
          << names[i] << " was sent before";
    }
    EXPECT_EQ(columns.ids_size(), columns.packets_size());
    EXPECT_EQ(columns.ids_size(), columns.bytes_size());
    std::map<std::string, uint64_t> rows;
    for (int i = 0; i < columns.ids_size(); ++i) {
      EXPECT_TRUE(names_.contains(columns.ids(i))) << columns.ids(i);
      rows[names_[columns.ids(i)]] = columns.packets(i);
    }
    return rows;
  }
  std::string NameOf(uint32_t id) { return names_[id]; }

 private:
  std::map<uint32_t, std::string> names_;
};

inline std::map<std::string, uint64_t> RowsOf(const v1::SnapshotFrame& frame) {
  std::map<std::string, uint64_t> rows;
  for (const v1::Counter& counter : frame.counters()) {
    rows[counter.name()] = counter.packets();
  }
  return rows;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_SNAPSHOT_FIXTURE_H_
