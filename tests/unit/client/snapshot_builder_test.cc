// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/snapshot_builder.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "nfmeter/errors.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An encoded chunk.
std::string Chunk(const std::string& text) {
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame* frame = response.mutable_frame();
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, frame))
      << text;
  frame->set_epoch(7);
  if (frame->sequence() == 0) frame->set_sequence(3);
  return response.SerializeAsString();
}

// All chunks; the first error, or the snapshot.
absl::StatusOr<Snapshot> Build(const std::vector<std::string>& chunks) {
  SnapshotBuilder builder;
  for (const std::string& chunk : chunks) {
    auto wire = std::make_shared<const std::string>(Chunk(chunk));
    absl::Status status = builder.Add(*wire, wire);
    if (!status.ok()) return status;
  }
  return builder.Finish();
}

TEST(SnapshotBuilderTest, ChunksBecomeOneSnapshot) {
  const auto snapshot = Build(
      {"chunk_index: 0 columns { ids: [4, 9] packets: [1, 2] bytes: [10, 20]"
       "  new_names: 'a\\nb\\n' exceeded_ids: 9 }",
       "chunk_index: 1 last_chunk: true complete: true expected_count: 3 "
       "wall_time { seconds: 5 } boottime { seconds: 6 nanos: 500000000 } "
       "columns { ids: 2 packets: 18446744073709551615 bytes: 0"
       "  new_names: 'c\\n' }"});
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot->epoch, 7u);
  EXPECT_EQ(snapshot->sequence, 3u);
  EXPECT_TRUE(snapshot->complete);
  EXPECT_EQ(snapshot->wall_time, absl::FromUnixSeconds(5));
  EXPECT_EQ(snapshot->boottime, absl::Milliseconds(6500));
  EXPECT_THAT(snapshot->names, ElementsAre("a", "b", "c"));
  EXPECT_THAT(snapshot->packets, ElementsAre(1, 2, UINT64_MAX));
  EXPECT_THAT(snapshot->bytes, ElementsAre(10, 20, 0));
  EXPECT_THAT(snapshot->exceeded, ElementsAre(0, 1, 0));
  EXPECT_EQ(snapshot->Find("c"), 2u);
  EXPECT_EQ(snapshot->Find("d"), std::nullopt);
}

TEST(SnapshotBuilderTest, LabelsAndTotalsAreColumns) {
  const auto snapshot = Build(
      {"columns { ids: [1, 2] packets: [1, 1] bytes: [1, 1]"
       "  total_packets: [7, 8] total_bytes: [70, 80] new_names: 'a\\nb\\n'"
       "  labels { key: 'tenant' values: ['acme', ''] }"
       "  labels { key: 'rack' values: ['', 'r12'] } }",
       // It begins again, and names what it has named by ids alone.
       "restarted: true columns { ids: [2, 3] packets: [5, 6] bytes: [7, 8]"
       "  total_packets: [9, 6] total_bytes: [90, 60] new_names: 'c\\n'"
       "  new_ids: 3 labels { key: 'tenant' values: 'beta' }"
       "  labels { key: 'rack' values: 'r13' } }",
       "chunk_index: 1 columns { ids: 1 packets: 9 bytes: 9 total_packets: 10"
       "  total_bytes: 100 }"
       "last_chunk: true complete: true expected_count: 3"});
  ASSERT_OK(snapshot);
  EXPECT_THAT(snapshot->names, ElementsAre("b", "c", "a"));
  EXPECT_THAT(snapshot->total_packets, ElementsAre(9, 6, 10));
  EXPECT_THAT(snapshot->total_bytes, ElementsAre(90, 60, 100));
  ASSERT_EQ(snapshot->labels.size(), 2u);
  EXPECT_EQ(snapshot->labels[0].key, "tenant");
  EXPECT_THAT(snapshot->labels[0].values, ElementsAre("", "beta", "acme"));
  EXPECT_EQ(snapshot->labels[1].key, "rack");
  EXPECT_THAT(snapshot->labels[1].values, ElementsAre("r12", "r13", ""));
}

TEST(SnapshotBuilderTest, AnEmptySnapshotIsWhole) {
  const auto snapshot = Build({"last_chunk: true complete: true"});
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot->size(), 0u);
}

TEST(SnapshotBuilderTest, ARestartForgetsValuesButNotNames) {
  const auto snapshot =
      Build({"columns { ids: [1, 2] packets: [1, 1] bytes: [1, 1]"
             "  new_names: 'a\\nb\\n' }",
             "restarted: true columns { ids: [2, 3] packets: [5, 6]"
             "  bytes: [7, 8] new_names: 'c\\n' new_ids: 3 }",
             "chunk_index: 1 columns { ids: 1 packets: 9 bytes: 9 }"
             "last_chunk: true complete: true expected_count: 3"});
  ASSERT_OK(snapshot);
  EXPECT_THAT(snapshot->names, ElementsAre("b", "c", "a"));
  EXPECT_THAT(snapshot->packets, ElementsAre(5, 6, 9));
}

TEST(SnapshotBuilderTest, ExceededIdsMayHaveAnyOrder) {
  const auto snapshot =
      Build({"last_chunk: true columns { ids: [1, 2, 3] packets: [0, 0, 0]"
             "  bytes: [0, 0, 0] new_names: 'a\\nb\\nc\\n'"
             "  exceeded_ids: [3, 1] }"});
  ASSERT_OK(snapshot);
  EXPECT_THAT(snapshot->exceeded, ElementsAre(1, 0, 1));
}

TEST(SnapshotBuilderTest, ContradictionsAreDataLoss) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> broken = {
      {{}, "before its last chunk"},
      {{"columns { ids: 1 packets: 1 bytes: 1 new_names: 'a\\n' }"},
       "before its last chunk"},
      {{"last_chunk: true columns { ids: 1 packets: 1 }"}, "different lengths"},
      {{"last_chunk: true columns { ids: 1 packets: 1 bytes: 1"
        " total_packets: 1 new_names: 'a\\n' }"},
       "different lengths"},
      {{"last_chunk: true columns { ids: 1 packets: 1 bytes: 1"
        " new_names: 'a\\n' labels { key: 'k' values: ['x', 'y'] } }"},
       "labels that do not fit"},
      {{"columns { ids: 1 packets: 1 bytes: 1 new_names: 'a\\n'"
        " labels { key: 'k' values: 'x' } }",
        "chunk_index: 1 last_chunk: true columns { ids: 2 packets: 1 bytes: 1"
        " new_names: 'b\\n' labels { key: 'l' values: 'x' } }"},
       "labels that do not fit"},
      {{"last_chunk: true columns { ids: 1 packets: 1 bytes: 1"
        " new_names: 'a' }"},
       "does not end"},
      {{"last_chunk: true columns { ids: 1 packets: 1 bytes: 1"
        " new_names: 'a\\nb\\n' }"},
       "2 names for 1 ids"},
      {{"last_chunk: true columns { ids: 1 packets: 1 bytes: 1 }"},
       "no name for id 1"},
      {{"last_chunk: true columns { new_ids: 1 }"}, "0 names for 1 ids"},
      {{"chunk_index: 1"}, "chunk 1 instead of 0"},
      {{"", "chunk_index: 2"}, "chunk 2 instead of 1"},
      {{"", "chunk_index: 1 sequence: 4"}, "amid those of"},
      {{"last_chunk: true", ""}, "after the last chunk"},
      {{"last_chunk: true complete: true expected_count: 1"},
       "0 counters instead of 1"},
  };
  for (const auto& [chunks, what] : broken) {
    const auto snapshot = Build(chunks);
    EXPECT_THAT(snapshot,
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what)));
    EXPECT_EQ(ErrorReason(snapshot.status()), reason::kBrokenSnapshot);
  }
}

TEST(SnapshotBuilderTest, CutOffMessagesAreDataLoss) {
  const std::string wire = Chunk(
      "last_chunk: true columns { ids: [1, 200, 3] packets: [1, 2, 300000]"
      " bytes: [0, 18446744073709551615, 9] new_names: 'a\\nb\\nc\\n'"
      " exceeded_ids: 3 }");
  for (size_t size = 1; size < wire.size(); ++size) {
    // Of its own size, so that reading beyond it is found by sanitizers.
    auto cut =
        std::make_shared<std::vector<char>>(wire.begin(), wire.begin() + size);
    SnapshotBuilder builder;
    EXPECT_THAT(builder.Add({cut->data(), size}, cut),
                StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
}

TEST(SnapshotBuilderTest, AChunkOfFiftyThousandCountersIsReadWhole) {
  constexpr int kCounters = 50'000;
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame& frame = *response.mutable_frame();
  frame.set_last_chunk(true);
  frame.set_complete(true);
  frame.set_expected_count(kCounters);
  v1::SnapshotColumns& columns = *frame.mutable_columns();
  for (int i = 0; i < kCounters; ++i) {
    columns.add_ids(i);
    columns.add_packets(1'000'003ull * i);
    columns.add_bytes(1'500'000'007ull * i);
    absl::StrAppend(columns.mutable_new_names(), "tenant-", i, "\n");
  }
  const std::string wire = response.SerializeAsString();
  SnapshotBuilder builder;
  ASSERT_OK(builder.Add(wire, nullptr));
  const auto snapshot = builder.Finish();
  ASSERT_OK(snapshot);
  ASSERT_EQ(snapshot->size(), static_cast<size_t>(kCounters));
  EXPECT_EQ(snapshot->names.back(), absl::StrCat("tenant-", kCounters - 1));
  EXPECT_EQ(snapshot->packets.back(), 1'000'003ull * (kCounters - 1));
  EXPECT_EQ(snapshot->bytes.back(), 1'500'000'007ull * (kCounters - 1));
}

}  // namespace
}  // namespace nfmeter::client_internal
