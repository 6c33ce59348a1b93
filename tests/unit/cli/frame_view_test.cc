// SPDX-License-Identifier: GPL-3.0-or-later
// Rates, order and texts of watch and top.
#include "cli/frame_view.h"

#include <sstream>

#include "cli/frame_printer.h"
#include "gmock/gmock.h"

namespace nfmeter::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A frame of three counters, two seconds after the one before: a moved, b was
// reset, c rests.
class FrameTest : public ::testing::Test {
 protected:
  FrameTest() {
    frame_.epoch = 9;
    frame_.sequence = 12;
    frame_.wall_time = absl::FromUnixSeconds(1'700'000'000);
    frame_.boottime = absl::Seconds(100.5);
    frame_.elapsed = absl::Seconds(2);
    frame_.complete = true;
    frame_.rows = rows_;
    frame_.changed = changed_;
  }

  const std::vector<CounterRow> rows_ = {
      {.name = "c",
       .packets = 5,
       .bytes = 500,
       .previous_packets = 5,
       .previous_bytes = 500},
      {.name = "b",
       .packets = 4,
       .bytes = 200'000,
       .previous_packets = 1000,
       .previous_bytes = 900'000},
      {.name = "a",
       .packets = 30,
       .bytes = 3000,
       .previous_packets = 10,
       .previous_bytes = 1000,
       .exceeded = true},
  };
  const std::vector<uint32_t> changed_ = {1, 2};
  SnapshotFrame frame_;
};

TEST_F(FrameTest, RatesAreByBoottimeAndSurviveAReset) {
  const std::vector<RateRow> rows = SelectRows(frame_, {});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].row->name, "a");
  EXPECT_DOUBLE_EQ(rows[0].packet_rate, 10);
  EXPECT_DOUBLE_EQ(rows[0].byte_rate, 1000);
  EXPECT_FALSE(rows[0].reset);
  // What was counted since the reset, not 4 - 1000.
  EXPECT_TRUE(rows[1].reset);
  EXPECT_EQ(rows[1].packets, 4u);
  EXPECT_DOUBLE_EQ(rows[1].byte_rate, 100'000);
  EXPECT_DOUBLE_EQ(rows[2].packet_rate, 0);
}

std::vector<std::string> NamesOf(const std::vector<RateRow>& rows) {
  std::vector<std::string> names;
  for (const RateRow& row : rows) names.emplace_back(row.row->name);
  return names;
}

TEST_F(FrameTest, SortsByWhatIsAskedAndCuts) {
  EXPECT_THAT(NamesOf(SelectRows(frame_, {.sort = SortKey::kByteRate})),
              ElementsAre("b", "a", "c"));
  EXPECT_THAT(NamesOf(SelectRows(frame_, {.sort = SortKey::kPacketRate})),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(NamesOf(SelectRows(frame_, {.sort = SortKey::kPackets})),
              ElementsAre("a", "c", "b"));
  EXPECT_THAT(
      NamesOf(SelectRows(frame_, {.sort = SortKey::kBytes, .limit = 1})),
      ElementsAre("b"));
  EXPECT_THAT(NamesOf(SelectRows(frame_, {.changed_only = true})),
              ElementsAre("a", "b"));
}

TEST_F(FrameTest, TableHasUnitsAndNotes) {
  EXPECT_EQ(RenderTable(FrameTable(SelectRows(frame_, {}), Layout::kTable), {}),
            R"(NAME  PACKETS     BYTES  PACKETS/S     BYTES/S
a          30  2.93 KiB     10.0/s    1000 B/s  over quota
b           4   195 KiB     2.00/s  97.7 KiB/s  reset
c           5     500 B        0/s       0 B/s
)");
}

TEST_F(FrameTest, CsvIsPlain) {
  EXPECT_EQ(
      RenderCsv(FrameTable(SelectRows(frame_, {.limit = 2}), Layout::kCsv)),
      R"(time,sequence,name,packets,bytes,new_packets,new_bytes,packets_per_second,bytes_per_second,quota_exceeded,reset
2023-11-14T22:13:20Z,12,a,30,3000,20,2000,10.00,1000.00,true,false
2023-11-14T22:13:20Z,12,b,4,200000,4,200000,2.00,100000.00,false,true
)");
}

TEST_F(FrameTest, TheFirstFrameHasNoRates) {
  frame_.elapsed = absl::ZeroDuration();
  const std::vector<RateRow> rows = SelectRows(frame_, {.limit = 1});
  EXPECT_THAT(RenderTable(FrameTable(rows, Layout::kTable), {}),
              HasSubstr("2.93 KiB          -        -"));
  EXPECT_THAT(RenderCsv(FrameTable(rows, Layout::kCsv)),
              HasSubstr("a,30,3000,20,2000,,,true"));
}

TEST_F(FrameTest, HeaderTellsWhatWentWrong) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  EXPECT_EQ(FrameHeader(frame_, 3, utc),
            "2023-11-14 22:13:20  3 counters, sequence 12");
  const std::vector<std::string> removed = {"gone"};
  frame_.removed = removed;
  frame_.complete = false;
  frame_.missed_frames = 2;
  frame_.reconnects = 1;
  frame_.epoch_changed = true;
  EXPECT_EQ(FrameHeader(frame_, 1, utc),
            "2023-11-14 22:13:20  1 of 3 counters, sequence 12, 1 gone, "
            "INCOMPLETE, new epoch, 2 frames missed, 1 reconnect");
}

TEST_F(FrameTest, MessageIsFullUnlessOnlyChangesAreWanted) {
  const std::vector<std::string> removed = {"gone"};
  frame_.removed = removed;
  v1::WatchSnapshotsResponse full = FrameMessage(frame_, false, false);
  EXPECT_TRUE(full.frame().full());
  EXPECT_EQ(full.frame().counters_size(), 3);
  EXPECT_EQ(full.frame().removed_names_size(), 0);
  EXPECT_EQ(full.frame().boottime().seconds(), 100);
  EXPECT_EQ(full.frame().boottime().nanos(), 500'000'000);
  v1::WatchSnapshotsResponse changes = FrameMessage(frame_, true, false);
  EXPECT_FALSE(changes.frame().full());
  EXPECT_EQ(changes.frame().counters_size(), 2);
  EXPECT_THAT(changes.frame().removed_names(), ElementsAre("gone"));
  EXPECT_TRUE(FrameMessage(frame_, true, true).frame().full());
}

// The printer on a terminal of `rows` lines.
class FramePrinterTest : public FrameTest {
 protected:
  std::string PrintTwice(size_t terminal_rows, size_t terminal_columns,
                         bool terminal) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Console console{.in = in,
                    .out = out,
                    .err = err,
                    .out_is_terminal = terminal,
                    .size = [&] {
                      terminal_columns += widening_;
                      return TerminalSize{terminal_rows, terminal_columns};
                    }};
    GlobalFlags flags;
    flags.color = "never";
    Session session(console, flags);
    {
      FramePrinter printer(session, {});
      printer.Print(frame_);
      printer.Print(frame_);
    }
    return out.str();
  }

  size_t widening_ = 0;  // columns that the terminal grows by each frame
};

TEST_F(FramePrinterTest, RedrawsInPlaceAndGivesTheCursorBack) {
  const std::string text = PrintTwice(24, 80, true);
  EXPECT_TRUE(text.starts_with("\x1b[?25l"));
  // Header, headings, three rows and their sum: six lines up.
  EXPECT_THAT(text, HasSubstr("\x1b[6A\r"));
  EXPECT_TRUE(text.ends_with("\x1b[J\x1b[?25h"));
}

TEST_F(FramePrinterTest, ShowsNoMoreThanFits) {
  const std::string text = PrintTwice(7, 20, true);
  EXPECT_THAT(text, HasSubstr("1 not shown"));
  EXPECT_THAT(text, HasSubstr("\x1b[6A\r"));
  for (const char* row : {"\na ", "\nb "}) EXPECT_THAT(text, HasSubstr(row));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\nc ")));
}

TEST_F(FramePrinterTest, StartsAfreshOnAResizedTerminal) {
  widening_ = 1;
  EXPECT_THAT(PrintTwice(24, 80, true), HasSubstr("\x1b[2J\x1b[H"));
}

TEST_F(FramePrinterTest, WritesBlocksWhenPiped) {
  const std::string text = PrintTwice(6, 20, false);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\x1b")));
  EXPECT_TRUE(text.starts_with("# 20"));
  EXPECT_THAT(text, HasSubstr("\n\n# 20"));
  EXPECT_THAT(text, HasSubstr("\nc "));
}

}  // namespace
}  // namespace nfmeter::cli
