// SPDX-License-Identifier: GPL-3.0-or-later
// Single snapshots of the SDK.
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::kUnavailable;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using SnapshotTest = CallFixture;

void Write(grpc::ServerWriter<v1::GetSnapshotResponse>& writer, int index,
           bool last) {
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame& frame = *response.mutable_frame();
  frame.set_chunk_index(index);
  frame.set_last_chunk(last);
  frame.set_complete(last);
  frame.set_expected_count(last ? index + 1 : 0);
  frame.mutable_columns()->add_ids(index);
  frame.mutable_columns()->add_packets(index);
  frame.mutable_columns()->add_bytes(index);
  frame.mutable_columns()->set_new_names(absl::StrCat("c", index, "\n"));
  writer.Write(response);
}

TEST_F(SnapshotTest, SnapshotsAreCollectedFromTheirChunks) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto& request,
                                        auto& writer) {
    EXPECT_EQ(request.view(), v1::SNAPSHOT_VIEW_COLUMNS);
    for (int i = 0; i < 3; ++i) Write(writer, i, i == 2);
    return grpc::Status::OK;
  };
  auto snapshot = client_->GetSnapshot();
  ASSERT_OK(snapshot);
  const Snapshot copy = *snapshot;
  snapshot = absl::CancelledError();  // names live on in the copy
  EXPECT_THAT(copy.names, ElementsAre("c0", "c1", "c2"));
  EXPECT_TRUE(copy.complete);
}

TEST_F(SnapshotTest, ASnapshotThatEndsEarlyIsNotOne) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto&, auto& writer) {
    Write(writer, 0, false);
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->GetSnapshot(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(SnapshotTest, ASnapshotThatBreaksIsReadAgainFromTheStart) {
  int calls = 0;
  server_.snapshots.on_GetSnapshot = [&](auto&, const auto&, auto& writer) {
    Write(writer, 0, false);
    if (++calls == 1) return kUnavailable;
    Write(writer, 1, true);
    return grpc::Status::OK;
  };
  const auto snapshot = client_->GetSnapshot();
  ASSERT_OK(snapshot);
  EXPECT_THAT(snapshot->names, ElementsAre("c0", "c1"));
}

TEST_F(SnapshotTest, ABrokenChunkEndsTheStream) {
  server_.snapshots.on_GetSnapshot = [](auto& context, const auto&,
                                        auto& writer) {
    Write(writer, 5, false);
    testing::WaitForCancellation(context);
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->GetSnapshot(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 5")));
}

TEST_F(SnapshotTest, RowsOfASnapshotAreOneMessage) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto& request,
                                        auto& writer) {
    EXPECT_EQ(request.view(), v1::SNAPSHOT_VIEW_ROWS);
    for (int i = 0; i < 3; ++i) {
      v1::GetSnapshotResponse response;
      v1::SnapshotFrame& frame = *response.mutable_frame();
      frame.set_epoch(7);
      frame.set_sequence(1);
      frame.set_restarted(i == 1);
      frame.set_chunk_index(i == 2 ? 1 : 0);
      frame.set_last_chunk(i == 2);
      frame.set_complete(i == 2);
      frame.set_expected_count(i == 2 ? 2 : 0);
      frame.add_counters()->set_name(absl::StrCat("c", i));
      writer.Write(response);
    }
    return grpc::Status::OK;
  };
  const auto frame = client_->GetSnapshotRows();
  ASSERT_OK(frame);
  ASSERT_EQ(frame->counters_size(), 2);
  EXPECT_EQ(frame->counters(0).name(), "c1");
  EXPECT_TRUE(frame->complete());
}

}  // namespace
}  // namespace nfmeter
