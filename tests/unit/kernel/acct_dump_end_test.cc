// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_dump_end.h"

#include "gtest/gtest.h"

namespace nfmeter::kernel {
namespace {

constexpr size_t kPage = 4096;
// What a socket accounts for a large and a small message.
constexpr size_t kLarge = 33024;
constexpr size_t kSmall = 4352;
constexpr size_t kUnknown = 0;

TEST(AcctDumpEndTest, NoRecordsAtAllIsTheEnd) {
  EXPECT_TRUE(AcctDumpEnd(kPage).Reached());
}

TEST(AcctDumpEndTest, RoomForAnotherRecordIsTheEnd) {
  AcctDumpEnd end(kPage);
  end.OnRecords(32400, kLarge, false);
  EXPECT_FALSE(end.Reached());
  end.OnRecords(20000, kLarge, false);
  EXPECT_TRUE(end.Reached());
}

TEST(AcctDumpEndTest, FullMessageIsUndecided) {
  for (size_t bytes : {31700, 32000, 32448, 32768}) {
    AcctDumpEnd end(kPage);
    end.OnRecords(bytes, kLarge, false);
    EXPECT_FALSE(end.Reached()) << bytes;
  }
}

TEST(AcctDumpEndTest, LargerMessagesSeenBeforeNarrowWhatIsUndecided) {
  AcctDumpEnd end(kPage);
  end.OnRecords(32400, kLarge, false);
  end.OnRecords(32200, kLarge, false);
  EXPECT_TRUE(end.Reached());
  end.OnRecords(32300, kLarge, false);
  EXPECT_FALSE(end.Reached());
}

TEST(AcctDumpEndTest, FullSmallMessageIsUndecided) {
  for (size_t bytes : {3000, 3500, 3776}) {
    AcctDumpEnd end(kPage);
    end.OnRecords(bytes, kSmall, false);
    EXPECT_FALSE(end.Reached()) << bytes;
    end.OnRecords(bytes, kUnknown, false);
    EXPECT_FALSE(end.Reached()) << bytes;
    // The same number of bytes leaves room in a large one.
    end.OnRecords(bytes, kLarge, false);
    EXPECT_TRUE(end.Reached()) << bytes;
  }
  AcctDumpEnd end(kPage);
  end.OnRecords(2900, kSmall, false);
  EXPECT_TRUE(end.Reached());
}

TEST(AcctDumpEndTest, SmallMessagesOfLargePagesAreOfEightKiB) {
  for (size_t page : {8192, 16384, 65536}) {
    AcctDumpEnd end(page);
    end.OnRecords(7800, kUnknown, false);
    EXPECT_FALSE(end.Reached()) << page;
    end.OnRecords(8100, kUnknown, false);
    EXPECT_TRUE(end.Reached()) << page;
    end.OnRecords(5000, kUnknown, false);
    EXPECT_TRUE(end.Reached()) << page;
  }
}

TEST(AcctDumpEndTest, DoneInTheMessageOfRecordsIsTheEnd) {
  AcctDumpEnd end(kPage);
  end.OnRecords(32440, kLarge, true);
  EXPECT_TRUE(end.Reached());
}

}  // namespace
}  // namespace nfmeter::kernel
