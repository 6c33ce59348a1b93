// SPDX-License-Identifier: GPL-3.0-or-later
// The screen of watch and top, at several widths, and what keys do to it.
#include "cli/frame_screen.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/key_reader.h"
#include "gmock/gmock.h"
#include "tests/support/read_file.h"

namespace nfmeter::cli {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Truly;

// Six frames of four counters: one steady, one that grows, one over its quota,
// one that rests.
class ScreenTest : public ::testing::Test {
 protected:
  ScreenTest() { setenv("TZ", "UTC", 1); }

  void ShowFrames(FrameScreen& screen) {
    for (uint64_t i = 1; i <= 6; ++i) {
      const auto row = [&](absl::string_view name, uint64_t now,
                           uint64_t before) {
        return CounterRow{.name = name,
                          .packets = now,
                          .bytes = now * 1000,
                          .previous_packets = before,
                          .previous_bytes = before * 1000,
                          .total_packets = now + 1'000'000,
                          .total_bytes = now * 1000 + 1'000'000'000};
      };
      rows_ = {row("web", 1000 * i, 1000 * (i - 1)),
               row("backup.offsite", i * i * 500, (i - 1) * (i - 1) * 500),
               row("tenant-acme", 50 * i, 50 * (i - 1)), row("idle", 7, 7)};
      rows_[2].exceeded = true;
      SnapshotFrame frame;
      frame.sequence = i;
      frame.wall_time = absl::FromUnixSeconds(1'700'000'000 + i);
      frame.elapsed = i == 1 ? absl::ZeroDuration() : absl::Seconds(1);
      frame.complete = true;
      frame.rows = rows_;
      out_.str("");
      screen.Show(frame);
      // What it was shown is gone; keys come later.
      rows_.clear();
      rows_.shrink_to_fit();
    }
  }

  // What is on the terminal now, without escapes.
  std::string Shown() const {
    return absl::StrReplaceAll(out_.str(), {{"\x1b[K", ""},
                                            {"\x1b[J", ""},
                                            {"\x1b[?25l", ""},
                                            {"\x1b[6A\r", ""},
                                            {"\x1b[7A\r", ""}});
  }

  // The screen is the one in screens/NAME. NFMETER_UPDATE_SCREENS=1 writes it.
  void ExpectScreen(const std::string& name) const {
    const std::string path =
        std::string(NFMETER_SOURCE_DIR "/tests/unit/cli/screens/") + name;
    if (std::getenv("NFMETER_UPDATE_SCREENS") != nullptr) {
      std::ofstream(path) << Shown();
    }
    EXPECT_EQ(Shown(), testing::ReadFile(path))
        << "NFMETER_UPDATE_SCREENS=1 writes " << path;
    for (absl::string_view line : absl::StrSplit(Shown(), '\n')) {
      EXPECT_LE(DisplayWidth(line), size_.columns) << line;
    }
  }

  std::stringstream in_, out_, err_;
  TerminalSize size_{.rows = 24, .columns = 80};
  Console console_{.in = in_,
                   .out = out_,
                   .err = err_,
                   .out_is_terminal = true,
                   .unicode = true,
                   .size = [this] { return size_; }};
  const GlobalFlags flags_{.color = "never"};
  Session session_{console_, flags_};
  const FrameScreen::Options top_{
      .frame = {.sort = SortKey::kByteRate, .hide_idle = true}, .keys = true};
  std::vector<CounterRow> rows_;
};

TEST_F(ScreenTest, FortyColumnsHaveRates) {
  size_.columns = 40;
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  ExpectScreen("top-40.txt");
}

TEST_F(ScreenTest, EightyColumnsHaveASparkline) {
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  ExpectScreen("top-80.txt");
}

TEST_F(ScreenTest, TwoHundredColumnsHaveBars) {
  size_.columns = 200;
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  ExpectScreen("top-200.txt");
}

TEST_F(ScreenTest, WithoutUtf8AllIsAscii) {
  size_.columns = 200;
  console_.unicode = false;
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  ExpectScreen("top-200-plain.txt");
  EXPECT_THAT(
      Shown(),
      Each(Truly([](unsigned char c) { return absl::ascii_isascii(c); })));
}

TEST_F(ScreenTest, KeysSortFilterAndLeave) {
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  EXPECT_THAT(Shown(), Not(HasSubstr("\nidle")));

  out_.str("");
  EXPECT_TRUE(screen.OnKey('i'));
  EXPECT_TRUE(screen.OnKey('n'));
  out_.str("");
  EXPECT_TRUE(screen.OnKey('u'));
  EXPECT_THAT(Shown(), AllOf(HasSubstr("\nidle"), HasSubstr("BITS/S"),
                             HasSubstr("44.0 Mbit/s")));
  EXPECT_LT(Shown().find("backup"), Shown().find("web"));

  for (const char key : {'/', 'w', 'x', '\x7f'}) {
    out_.str("");
    EXPECT_TRUE(screen.OnKey(key));
  }
  EXPECT_THAT(Shown(), AllOf(HasSubstr("web"), HasSubstr("/w_"),
                             Not(HasSubstr("backup"))));
  // Not a command while a filter is typed.
  EXPECT_TRUE(screen.OnKey('q'));
  EXPECT_TRUE(screen.OnKey('\n'));
  EXPECT_TRUE(screen.OnKey('\x1b'));
  out_.str("");
  EXPECT_TRUE(screen.OnKey('B'));
  EXPECT_THAT(Shown(), HasSubstr("backup"));
  EXPECT_FALSE(screen.OnKey('q'));
}

TEST_F(ScreenTest, WhereAllThatMatchIsIdleTheKeyThatShowsItIsTold) {
  FrameScreen screen(session_, top_);
  ShowFrames(screen);
  for (const char key : {'/', 'i', 'd', 'l', 'e', '\n'}) screen.OnKey(key);
  EXPECT_THAT(Shown(), HasSubstr("1 idle, i shows them  filter 'idle'"));
}

TEST(KeyReaderTest, ArrowsAreNoKeysAndEscapeIs) {
  EXPECT_EQ(PlainKeys("n"), "n");
  EXPECT_EQ(PlainKeys("\x1b"), "\x1b");
  EXPECT_EQ(PlainKeys("\x1b[B"), "");
  EXPECT_EQ(PlainKeys("\x1bOP"), "");
  EXPECT_EQ(PlainKeys("a\x1b[5~b\x1b[1;5Cq"), "abq");
  EXPECT_EQ(PlainKeys("\x1b["), "");
}

}  // namespace
}  // namespace nfmeter::cli
