// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include <thread>

#include "tests/component/snapshot_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using SnapshotGetTest = SnapshotFixture;

TEST_F(SnapshotGetTest, RowsAreCountersWithAllTheirFields) {
  Create("web",
         {.quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kBytes, 1000}});
  ASSERT_OK(labels_->Set({{"web", {{"team", "edge"}}}}));
  Count("web", 10, 1000);
  v1::SnapshotFrame frame;
  ASSERT_OK(Get({}, &frame));
  EXPECT_EQ(frame.epoch(), hub_->epoch());
  EXPECT_EQ(frame.sequence(), 1u);
  EXPECT_EQ(frame.boottime().seconds(), 1000);
  EXPECT_EQ(frame.wall_time().seconds(), 1'767'225'600);
  EXPECT_TRUE(frame.complete());
  EXPECT_TRUE(frame.full());
  EXPECT_TRUE(frame.last_chunk());
  EXPECT_EQ(frame.expected_count(), 1u);
  ASSERT_EQ(frame.counters_size(), 1);
  const v1::Counter& counter = frame.counters(0);
  EXPECT_EQ(counter.name(), "web");
  EXPECT_EQ(counter.packets(), 10u);
  EXPECT_EQ(counter.bytes(), 1000u);
  EXPECT_EQ(counter.quota().bytes(), 1000u);
  EXPECT_TRUE(counter.quota().exceeded());
  EXPECT_EQ(counter.labels().at("team"), "edge");
  EXPECT_EQ(counter.read_time().seconds(), 1'767'225'600);
  EXPECT_THAT(counter.etag(), ::testing::Not(IsEmpty()));
}

TEST_F(SnapshotGetTest, RowsSayWhatTheKernelsToolsCallACounter) {
  Create(std::string(40, 'n'));
  Create("web");
  v1::SnapshotFrame frame;
  ASSERT_OK(Get({}, &frame));
  ASSERT_EQ(frame.counters_size(), 2);
  EXPECT_EQ(frame.counters(0).kernel_name(),
            kernel::NfacctName(frame.counters(0).name()));
  EXPECT_EQ(frame.counters(1).kernel_name(), "");
}

TEST_F(SnapshotGetTest, AFewCountersAreOneMessage) {
  Create("c", 3);
  v1::SnapshotFrame frame;
  int chunks = 0;
  ASSERT_OK(Get({}, &frame, &chunks));
  EXPECT_EQ(chunks, 1);
}

TEST_F(SnapshotGetTest, NoCountersAreAnEmptyCompleteFrame) {
  v1::SnapshotFrame frame;
  ASSERT_OK(Get({}, &frame));
  EXPECT_TRUE(frame.complete());
  EXPECT_TRUE(frame.last_chunk());
  EXPECT_EQ(frame.counters_size(), 0);
}

TEST_F(SnapshotGetTest, BothViewsSayTheSame) {
  Create("c", 10'000);
  for (int i = 0; i < 10'000; i += 7) Count(absl::StrCat("c", i), i, i);
  v1::GetSnapshotRequest request;
  v1::SnapshotFrame rows;
  ASSERT_OK(Get(request, &rows));
  request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  v1::SnapshotFrame columns;
  ASSERT_OK(Get(request, &columns));
  EXPECT_EQ(RowsOf(rows).size(), 10'000u);
  EXPECT_EQ(RowsOf(rows), ColumnReader().Rows(columns));
  EXPECT_EQ(columns.expected_count(), 10'000u);
}

TEST_F(SnapshotGetTest, AHundredThousandCountersComeInSmallMessages) {
  Create("a-rather-long-counter-name-", 100'000 / 10);
  Create("b", 90'000);
  for (const auto view : {v1::SNAPSHOT_VIEW_ROWS, v1::SNAPSHOT_VIEW_COLUMNS}) {
    v1::GetSnapshotRequest request;
    request.set_view(view);
    grpc::ClientContext context;
    auto reader = stub_->GetSnapshot(&context, request);
    v1::GetSnapshotResponse response;
    uint32_t chunks = 0;
    size_t rows = 0;
    bool last = false;
    while (reader->Read(&response)) {
      EXPECT_FALSE(last);
      EXPECT_EQ(response.frame().chunk_index(), chunks++);
      EXPECT_LT(response.ByteSizeLong(), 520u << 10);
      rows += response.frame().counters_size() +
              response.frame().columns().ids_size();
      last = response.frame().last_chunk();
    }
    EXPECT_OK(reader->Finish());
    EXPECT_TRUE(last);
    EXPECT_GT(chunks, 2u);
    EXPECT_EQ(rows, 100'000u);
  }
}

TEST_F(SnapshotGetTest, FiltersByGlobAndLabels) {
  for (const char* name : {"http-a", "http-b", "dns"}) Create(name);
  ASSERT_OK(labels_->Set({{"http-b", {{"team", "edge"}, {"dc", "1"}}},
                          {"dns", {{"team", "edge"}}}}));
  for (const auto view : {v1::SNAPSHOT_VIEW_ROWS, v1::SNAPSHOT_VIEW_COLUMNS}) {
    const auto names = [&](const std::string& glob,
                           std::map<std::string, std::string> labels) {
      v1::GetSnapshotRequest request;
      request.set_view(view);
      request.mutable_filter()->set_name_glob(glob);
      request.mutable_filter()->mutable_labels()->insert(labels.begin(),
                                                         labels.end());
      v1::SnapshotFrame frame;
      EXPECT_OK(Get(request, &frame));
      const auto rows = view == v1::SNAPSHOT_VIEW_ROWS
                            ? RowsOf(frame)
                            : ColumnReader().Rows(frame);
      EXPECT_EQ(frame.expected_count(), rows.size());
      std::vector<std::string> result;
      for (const auto& [name, packets] : rows) result.push_back(name);
      return result;
    };
    EXPECT_THAT(names("http*", {}), ElementsAre("http-a", "http-b"));
    EXPECT_THAT(names("", {{"team", "edge"}}), ElementsAre("dns", "http-b"));
    EXPECT_THAT(names("http*", {{"team", "edge"}}), ElementsAre("http-b"));
    EXPECT_THAT(names("", {{"team", ""}}), IsEmpty());
    EXPECT_THAT(names("[[]", {}), IsEmpty());
    EXPECT_THAT(names("[!h]*", {}), ElementsAre("dns"));
  }
}

TEST_F(SnapshotGetTest, StalenessIsServedWithoutAskingTheKernel) {
  Create("c", 3);
  v1::SnapshotFrame first;
  ASSERT_OK(Get({}, &first));
  v1::GetSnapshotRequest request;
  request.mutable_max_staleness()->set_seconds(10);
  v1::SnapshotFrame second;
  ASSERT_OK(Get(request, &second));
  EXPECT_EQ(second.sequence(), first.sequence());
  EXPECT_EQ(RowsOf(second), RowsOf(first));
}

TEST_F(SnapshotGetTest, AReadingThatWasCutIsSentAgainMarkedSo) {
  Create("c", 40'000);
  // Cut when full chunks have long been sent: the hook waits until then.
  absl::Notification first_received;
  table_.SetDumpHook([&](size_t records) {
    if (records == 9 * accounting::kSnapshotChunkRows &&
        !first_received.HasBeenNotified()) {
      first_received.WaitForNotification();
    }
  });
  table_.CutDumps(38'000, 1);
  grpc::ClientContext context;
  auto reader = stub_->GetSnapshot(&context, {});
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame whole;
  int restarts = 0;
  while (reader->Read(&response)) {
    if (!first_received.HasBeenNotified()) first_received.Notify();
    if (response.frame().restarted()) {
      ++restarts;
      whole.Clear();
      EXPECT_EQ(response.frame().chunk_index(), 0u);
    }
    whole.MergeFrom(response.frame());
  }
  EXPECT_OK(reader->Finish());
  EXPECT_EQ(restarts, 1);
  EXPECT_TRUE(whole.complete());
  EXPECT_EQ(RowsOf(whole).size(), 40'000u);
  EXPECT_EQ(whole.counters_size(), 40'000);
}

TEST_F(SnapshotGetTest, ASnapshotThatStaysIncompleteSaysSo) {
  Create("c", 1000);
  table_.CutDumps(512, 100);
  v1::SnapshotFrame frame;
  ASSERT_OK(Get({}, &frame));
  EXPECT_FALSE(frame.complete());
  EXPECT_TRUE(frame.last_chunk());
  EXPECT_EQ(frame.counters_size(), 512);
}

TEST_F(SnapshotGetTest, ErrorsOfTheKernelReachTheClientWithTheirReason) {
  table_.InjectErrno(kernel::Operation::kAcctDump, EPERM);
  v1::SnapshotFrame frame;
  const grpc::Status status = Get({}, &frame);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(ErrorInfoOf(status).reason(), ::testing::Not(IsEmpty()));
  EXPECT_EQ(ErrorInfoOf(status).domain(), "nfmeter");
}

TEST_F(SnapshotGetTest, WrongFieldsAreAllNamed) {
  v1::GetSnapshotRequest request;
  request.mutable_max_staleness()->set_seconds(-1);
  request.set_view(static_cast<v1::SnapshotView>(77));
  v1::SnapshotFrame frame;
  const grpc::Status status = Get(request, &frame);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status),
              UnorderedElementsAre("view", "max_staleness"));
}

TEST_F(SnapshotGetTest, WithoutKernelSupportEveryCallSaysSoUntilItComes) {
  available_ = MakeError(absl::StatusCode::kUnimplemented, "NO_NFACCT",
                         "the kernel has no nfnetlink_acct");
  Start();
  v1::SnapshotFrame frame;
  const grpc::Status status = Get({}, &frame);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "NO_NFACCT");
  available_ = absl::OkStatus();
  EXPECT_OK(Get({}, &frame));
}

TEST_F(SnapshotGetTest, CancelledCallsLeaveNothingBehind) {
  Create("c", 5000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        grpc::ClientContext context;
        auto reader = stub_->GetSnapshot(&context, {});
        if (i % 3 != 0) {
          v1::GetSnapshotResponse response;
          reader->Read(&response);
        }
        context.TryCancel();
        reader->Finish();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  v1::SnapshotFrame frame;
  ASSERT_OK(Get({}, &frame));
  EXPECT_EQ(frame.counters_size(), 5000);
}

}  // namespace
}  // namespace nfmeter::testing
