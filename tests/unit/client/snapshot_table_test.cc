// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/snapshot_table.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SnapshotTableTest : public ::testing::Test {
 protected:
  absl::Status Apply(const std::string& text) {
    auto frame = std::make_shared<v1::SnapshotFrame>();
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(text, frame.get()))
        << text;
    return table_.Apply({frame});
  }

  // "name packets<-previous", an exclamation mark for those over their quota.
  std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    for (const CounterRow& row : table_.rows()) {
      rows.push_back(absl::StrCat(std::string(row.name), " ", row.packets, "<-",
                                  row.previous_packets,
                                  row.exceeded ? "!" : ""));
    }
    return rows;
  }
  std::vector<std::string> Changed() {
    std::vector<std::string> names;
    for (const uint32_t row : table_.changed()) {
      names.emplace_back(table_.rows()[row].name);
    }
    return names;
  }

  SnapshotTable table_;
};

constexpr char kFirst[] =
    "full: true complete: true columns { ids: [5, 6, 7] packets: [1, 2, 3]"
    " bytes: [1, 2, 3] new_names: 'a\\nb\\nc\\n' exceeded_ids: 6 }";

TEST_F(SnapshotTableTest, TheFirstFrameIsAllNew) {
  ASSERT_OK(Apply(kFirst));
  EXPECT_THAT(Rows(), ElementsAre("a 1<-1", "b 2<-2!", "c 3<-3"));
  EXPECT_THAT(Changed(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(table_.removed(), IsEmpty());
}

TEST_F(SnapshotTableTest, FullFramesOfTheSameCountersUpdateInPlace) {
  ASSERT_OK(Apply(kFirst));
  ASSERT_OK(
      Apply("full: true complete: true columns { ids: [5, 6, 7]"
            " packets: [1, 9, 3] bytes: [1, 2, 3] }"));
  EXPECT_THAT(Rows(), ElementsAre("a 1<-1", "b 9<-2", "c 3<-3"));
  EXPECT_THAT(Changed(), ElementsAre("b"));
}

TEST_F(SnapshotTableTest, ACompleteFullFrameShowsWhatHasGone) {
  ASSERT_OK(Apply(kFirst));
  ASSERT_OK(
      Apply("full: true complete: true columns { ids: [7, 8, 5]"
            " packets: [3, 4, 5] bytes: [3, 4, 1] new_names: 'd\\n'"
            " new_ids: 8 }"));
  EXPECT_THAT(Rows(), ElementsAre("c 3<-3", "d 4<-4", "a 5<-1"));
  EXPECT_THAT(Changed(), ElementsAre("d", "a"));
  EXPECT_THAT(table_.removed(), ElementsAre("b"));
}

TEST_F(SnapshotTableTest, AbsenceFromAnIncompleteFrameMeansNothing) {
  ASSERT_OK(Apply(kFirst));
  ASSERT_OK(Apply("full: true columns { ids: 7 packets: 4 bytes: 4 }"));
  EXPECT_THAT(Rows(), ElementsAre("c 4<-3", "a 1<-1", "b 2<-2!"));
  EXPECT_THAT(table_.removed(), IsEmpty());
  ASSERT_OK(
      Apply("full: true complete: true columns { ids: [5, 7]"
            " packets: [1, 4] bytes: [1, 4] }"));
  EXPECT_THAT(Rows(), ElementsAre("a 1<-1", "c 4<-4"));
  EXPECT_THAT(table_.removed(), ElementsAre("b"));
}

TEST_F(SnapshotTableTest, OtherFramesChangeOnlyWhatTheyName) {
  ASSERT_OK(Apply(kFirst));
  ASSERT_OK(
      Apply("complete: true columns { ids: [7, 9] packets: [8, 1]"
            " bytes: [8, 1] new_names: 'e\\n' new_ids: 9"
            " removed_ids: [5, 77] exceeded_ids: 7 }"));
  EXPECT_THAT(Rows(), ElementsAre("b 2<-2!", "c 8<-3!", "e 1<-1"));
  EXPECT_THAT(Changed(), ElementsAre("c", "e"));
  EXPECT_THAT(table_.removed(), ElementsAre("a"));
  // Nothing more: previous values catch up.
  ASSERT_OK(Apply("complete: true"));
  EXPECT_THAT(Rows(), ElementsAre("b 2<-2!", "c 8<-8!", "e 1<-1"));
  EXPECT_THAT(Changed(), IsEmpty());
  EXPECT_THAT(table_.removed(), IsEmpty());
}

TEST_F(SnapshotTableTest, ACounterMadeAgainKeepsItsNameWithoutBeingNamedAgain) {
  ASSERT_OK(Apply(kFirst));
  ASSERT_OK(Apply("columns { removed_ids: 5 }"));
  ASSERT_OK(Apply("columns { ids: 5 packets: 0 bytes: 0 }"));
  EXPECT_THAT(Rows(), ElementsAre("b 2<-2!", "c 3<-3", "a 0<-0"));
}

TEST_F(SnapshotTableTest, ANewStreamIsMatchedByNames) {
  ASSERT_OK(Apply(kFirst));
  table_.StartStream();
  // Another epoch: the ids mean other counters.
  ASSERT_OK(
      Apply("full: true complete: true columns { ids: [5, 6, 7]"
            " packets: [30, 20, 4] bytes: [30, 20, 4]"
            " new_names: 'c\\nb\\nd\\n' }"));
  EXPECT_THAT(Rows(), ElementsAre("c 30<-3", "b 20<-2", "d 4<-4"));
  EXPECT_THAT(table_.removed(), ElementsAre("a"));
}

TEST_F(SnapshotTableTest, AnIncompleteNewStreamKeepsOldRowsUntilTheyAreNamed) {
  ASSERT_OK(Apply(kFirst));
  table_.StartStream();
  ASSERT_OK(
      Apply("full: true columns { ids: 1 packets: 10 bytes: 10"
            " new_names: 'b\\n' }"));
  EXPECT_THAT(Rows(), ElementsAre("b 10<-2", "a 1<-1", "c 3<-3"));
  table_.StartStream();  // and it broke again
  ASSERT_OK(
      Apply("full: true columns { ids: 3 packets: 11 bytes: 11"
            " new_names: 'b\\n' }"));
  ASSERT_OK(Apply("columns { ids: 4 packets: 7 bytes: 7 new_names: 'c\\n' }"));
  EXPECT_THAT(Rows(), ElementsAre("b 11<-11", "a 1<-1", "c 7<-3"));
  ASSERT_OK(
      Apply("full: true complete: true columns { ids: [3, 4]"
            " packets: [11, 7] bytes: [11, 7] }"));
  EXPECT_THAT(Rows(), ElementsAre("b 11<-11", "c 7<-7"));
  EXPECT_THAT(table_.removed(), ElementsAre("a"));
}

TEST_F(SnapshotTableTest, RowsAreMatchedByNameAndKeepTheirMessages) {
  ASSERT_OK(
      Apply("full: true complete: true"
            " counters { name: 'a' packets: 1 labels { key: 'k'"
            "   value: 'v' } }"
            " counters { name: 'b' packets: 2"
            "   quota { packets: 2 exceeded: true } }"));
  EXPECT_THAT(Rows(), ElementsAre("a 1<-1", "b 2<-2!"));
  ASSERT_OK(Apply("counters { name: 'b' packets: 5 } removed_names: 'x'"));
  EXPECT_THAT(Rows(), ElementsAre("a 1<-1", "b 5<-2"));
  EXPECT_EQ(table_.rows()[0].counter->labels().at("k"), "v");
  EXPECT_EQ(table_.rows()[1].counter->packets(), 5u);
  ASSERT_OK(Apply("removed_names: 'a' counters { name: 'c' }"));
  EXPECT_THAT(Rows(), ElementsAre("b 5<-5", "c 0<-0"));
  EXPECT_EQ(table_.rows()[0].counter->name(), "b");
  EXPECT_THAT(table_.removed(), ElementsAre("a"));
}

TEST_F(SnapshotTableTest, ContradictionsAreDataLoss) {
  const auto broken = [](absl::string_view what) {
    return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string(what)));
  };
  EXPECT_THAT(Apply("columns { }"), broken("not full"));
  EXPECT_THAT(Apply("full: true columns { ids: 1 packets: 1 bytes: 1 }"),
              broken("no name for id 1"));
  EXPECT_THAT(Apply("full: true columns { ids: [1, 1] packets: [1, 1]"
                    " bytes: [1, 1] new_names: 'a\\na\\n' }"),
              broken("twice"));
  EXPECT_THAT(Apply("full: true columns { ids: 4294967295 packets: 1 bytes: 1"
                    " new_names: 'a\\n' }"),
              broken("no name"));
}

}  // namespace
}  // namespace nfmeter::client_internal
