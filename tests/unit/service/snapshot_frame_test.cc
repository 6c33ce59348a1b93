// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_frame.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/counters/counters.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_kernel.h"
#include "service/snapshot/snapshot_frames.h"
#include "service/snapshot/snapshot_request.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

using SharedSnapshot = std::shared_ptr<const accounting::Snapshot>;

class SnapshotFrameTest : public ::testing::Test {
 protected:
  SharedSnapshot Take() { return *hub_->Take(absl::ZeroDuration()); }

  void Create(const std::string& name, kernel::AcctObject object = {}) {
    object.name = name;
    ASSERT_OK(table_.Create({object})[0]);
  }

  std::vector<v1::GetSnapshotResponse> Encode(
      v1::SnapshotView view, const SharedSnapshot& snapshot,
      FrameEncoder::Options options,
      const std::vector<uint32_t>& removed = {}) {
    options.form.view = view;
    std::vector<v1::GetSnapshotResponse> messages;
    auto encoder = FrameEncoder::Create(
        options, {counters_, *labels_, *ledger_, members_},
        [&](grpc::Slice slice) {
          messages.emplace_back();
          EXPECT_TRUE(
              messages.back().ParseFromArray(slice.begin(), slice.size()));
          // Canonical: the generated code writes the same.
          EXPECT_EQ(messages.back().ByteSizeLong(), slice.size());
          if (view == v1::SNAPSHOT_VIEW_COLUMNS) {
            EXPECT_EQ(messages.back().SerializeAsString(),
                      std::string(slice.begin(), slice.end()));
          }
        });
    size_t matched = 0;
    for (const auto& chunk : snapshot->chunks()) {
      encoder->Add(MatchedIds().Select(chunk, 0, &matched));
    }
    encoder->Finish(snapshot->complete, matched, removed);
    return messages;
  }

  kernel::FakeKernel kernel_;
  kernel::FakeAcctTable& table_ = kernel_.acct();
  MemberEncodings members_;
  testing::FakeClock clock_;
  accounting::CounterObservers observers_;
  accounting::Lane lane_{"lane", 10};
  std::unique_ptr<accounting::SnapshotHub> hub_ =
      accounting::SnapshotHub::Create({table_, lane_, observers_, clock_}, {});
  std::unique_ptr<accounting::LabelStore> labels_ =
      *accounting::LabelStore::Open("");
  std::unique_ptr<accounting::Ledger> ledger_ =
      *accounting::Ledger::Create({}, clock_);
  accounting::Counters counters_{{.kernel = kernel_,
                                  .snapshots = *hub_,
                                  .labels = *labels_,
                                  .ledger = *ledger_,
                                  .clock = clock_}};
};

TEST_F(SnapshotFrameTest, ColumnsAreTheBytesOfTheGeneratedMessage) {
  Create("a", {.packets = 1, .bytes = UINT64_MAX});
  Create("b",
         {.packets = 300,
          .bytes = 1u << 31,
          .quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kPackets, 5}});
  Create("we ird\xff");
  ASSERT_OK(table_.Count("b", 1, 1));
  const SharedSnapshot snapshot = Take();
  const auto messages = Encode(v1::SNAPSHOT_VIEW_COLUMNS, snapshot,
                               {.snapshot = snapshot}, {7, 900});
  ASSERT_THAT(messages, SizeIs(1));
  const v1::SnapshotColumns& columns = messages[0].frame().columns();
  EXPECT_THAT(columns.ids(), ElementsAre(0, 1, 2));
  EXPECT_THAT(columns.packets(), ElementsAre(1, 301, 0));
  EXPECT_THAT(columns.bytes(), ElementsAre(UINT64_MAX, (1u << 31) + 1, 0));
  EXPECT_THAT(columns.exceeded_ids(), ElementsAre(1));
  EXPECT_EQ(columns.new_names(), "a\nb\nwe\\x20ird\\xff\n");
  EXPECT_THAT(columns.new_ids(), SizeIs(0));
  EXPECT_THAT(columns.removed_ids(), ElementsAre(7, 900));
  EXPECT_EQ(messages[0].frame().epoch(), snapshot->epoch);
  EXPECT_EQ(messages[0].frame().sequence(), 1u);
  EXPECT_EQ(messages[0].frame().expected_count(), 3u);
}

TEST_F(SnapshotFrameTest, TotalsGoOnOverResetsInBothViews) {
  Create("a", {.packets = 3, .bytes = 300});
  Create("b");
  ledger_->OnSnapshot(Take());
  ledger_->OnReset({{.name = "a", .packets = 3, .bytes = 300}});
  ASSERT_OK(table_.GetAndReset({"a"})[0].status());
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(table_.Count("a", 2, 200));
  const SharedSnapshot snapshot = Take();
  const auto messages =
      Encode(v1::SNAPSHOT_VIEW_COLUMNS, snapshot,
             {.snapshot = snapshot, .form = {.totals = true}}, {7});
  ASSERT_THAT(messages, SizeIs(1));
  const v1::SnapshotColumns& columns = messages[0].frame().columns();
  EXPECT_THAT(columns.packets(), ElementsAre(2, 0));
  EXPECT_THAT(columns.total_packets(), ElementsAre(5, 0));
  EXPECT_THAT(columns.total_bytes(), ElementsAre(500, 0));
  const auto rows =
      Encode(v1::SNAPSHOT_VIEW_ROWS, snapshot, {.snapshot = snapshot});
  ASSERT_THAT(rows, SizeIs(1));
  const v1::Counter& a = rows[0].frame().counters(0);
  EXPECT_EQ(a.packets(), 2u);
  EXPECT_EQ(a.total_packets(), 5u);
  EXPECT_EQ(a.total_bytes(), 500u);
  EXPECT_TRUE(a.has_last_reset_time());
}

TEST_F(SnapshotFrameTest, ColumnsSendOnlyNamesThatAreNotKnown) {
  Create("a");
  Take();
  Create("b");
  const SharedSnapshot snapshot = Take();
  const auto messages = Encode(v1::SNAPSHOT_VIEW_COLUMNS, snapshot,
                               {.snapshot = snapshot, .names_known_at = 1});
  const v1::SnapshotColumns& columns = messages[0].frame().columns();
  EXPECT_THAT(columns.ids(), ElementsAre(0, 1));
  EXPECT_EQ(columns.new_names(), "b\n");
  EXPECT_THAT(columns.new_ids(), ElementsAre(1));
}

TEST_F(SnapshotFrameTest, LabelsOfAnySizeDoNotMakeMessagesTooLong) {
  accounting::Labels labels;
  for (int i = 0; i < 16; ++i) {
    labels[absl::StrCat("key", i)] = std::string(255, 'x');
  }
  for (int i = 0; i < 500; ++i) {
    Create(absl::StrCat("c", i));
    ASSERT_OK(labels_->Set({{absl::StrCat("c", i), labels}}));
  }
  const SharedSnapshot snapshot = Take();
  const auto messages =
      Encode(v1::SNAPSHOT_VIEW_ROWS, snapshot, {.snapshot = snapshot});
  EXPECT_GT(messages.size(), 3u);
  size_t rows = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    EXPECT_LT(messages[i].ByteSizeLong(), kFrameMessageBytes + 10'000);
    EXPECT_EQ(messages[i].frame().chunk_index(), i);
    EXPECT_EQ(messages[i].frame().last_chunk(), i + 1 == messages.size());
    rows += messages[i].frame().counters_size();
  }
  EXPECT_EQ(rows, 500u);
}

TEST_F(SnapshotFrameTest, ManyRemovalsAreSpreadOverMessages) {
  Create("a");
  const SharedSnapshot snapshot = Take();
  const std::vector<uint32_t> removed(10'000, 0);
  for (const auto view : {v1::SNAPSHOT_VIEW_ROWS, v1::SNAPSHOT_VIEW_COLUMNS}) {
    size_t count = 0;
    const auto messages =
        Encode(view, snapshot, {.snapshot = snapshot, .full = false}, removed);
    for (const auto& message : messages) {
      count += message.frame().removed_names_size() +
               message.frame().columns().removed_ids_size();
    }
    EXPECT_EQ(count, 10'000u);
    EXPECT_THAT(messages, SizeIs(3));
  }
}

TEST_F(SnapshotFrameTest, StreamsInStepShareTheSameFrame) {
  Create("a");
  const SharedSnapshot first = Take();
  const SharedSnapshot second = Take();
  const SharedSnapshot third = Take();
  SnapshotFilters filters(*labels_);
  SnapshotFrames frames({counters_, *labels_, *ledger_, members_});
  const auto frame = [&](const SharedSnapshot& base, bool changed_only) {
    return frames
        .Get({.snapshot = third,
              .filter = filters.Get({.name_glob = "a*"}),
              .form = {.view = v1::SNAPSHOT_VIEW_COLUMNS},
              .changed_only = changed_only,
              .base = base == nullptr
                          ? FrameBase{}
                          : FrameBase{base->epoch, base->sequence, 0}})
        .frame;
  };
  const auto keep_filter = filters.Get({.name_glob = "a*"});
  EXPECT_EQ(frame(nullptr, false), frame(nullptr, true));
  // Streams that know the same names get the same full frame.
  EXPECT_EQ(frame(first, false), frame(second, false));
  EXPECT_NE(frame(nullptr, false), frame(first, false));
  EXPECT_EQ(frame(second, true), frame(second, true));
  EXPECT_TRUE(frame(second, true)->empty);
  EXPECT_FALSE(frame(first, false)->empty);
}

}  // namespace
}  // namespace nfmeter::service
