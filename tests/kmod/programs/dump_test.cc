// SPDX-License-Identifier: GPL-3.0-or-later
// Dumps while others write, and several writers at once. NFM_MODULE says which
// module this is: some promises are ours alone.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/kmod/programs/acct_peer.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {
namespace {

bool Ours() {
  const char* module = getenv("NFM_MODULE");
  return module != nullptr && absl::string_view(module) == "ours";
}

#define SKIP_UNLESS_OURS(why) \
  if (!Ours()) GTEST_SKIP() << "not promised by the stock module: " << why

// Of many lengths, so that messages end in the middle of a record.
std::string Numbered(absl::string_view prefix, int number) {
  return absl::StrFormat("%s%05d%s", prefix, number,
                         std::string(number % 17, 'x'));
}

void CreateAll(AcctPeer& peer, absl::string_view prefix, int count) {
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(peer.Create(Numbered(prefix, i), i, 10 * i), 0) << i;
  }
}

std::map<std::string, int> Appearances(const AcctReply& dump) {
  std::map<std::string, int> times;
  for (const AcctObject& object : dump.objects) ++times[object.name];
  return times;
}

// Each of `count` objects is in the dump, once.
void ExpectOnceEach(const AcctReply& dump, absl::string_view prefix,
                    int count) {
  auto times = Appearances(dump);
  for (int i = 0; i < count; ++i) {
    const std::string name = Numbered(prefix, i);
    EXPECT_EQ(times[name], 1) << name;
  }
}

constexpr size_t kSmallRoom = 8 << 10;

// A dump of which the first part is read before `between` is done.
template <typename Between>
AcctReply InterruptedDump(Between between, int command = NFNL_MSG_ACCT_GET) {
  AcctPeer reader;
  AcctReply reply;
  EXPECT_TRUE(reader.Send(AcctMessage(command, NLM_F_DUMP).bytes()));
  EXPECT_TRUE(reader.Receive(kSmallRoom, 10'000, reply));
  EXPECT_FALSE(reply.done);
  between(reply);
  while (!reply.done && reader.Receive(kSmallRoom, 10'000, reply)) continue;
  EXPECT_TRUE(reply.done);
  return reply;
}

TEST(AcctDump, AnUndisturbedDumpHoldsEverythingOnceInOrder) {
  AcctPeer peer;
  CreateAll(peer, "n", 5'000);
  const AcctReply dump = peer.Dump();
  ASSERT_EQ(dump.objects.size(), 5'000u);
  EXPECT_FALSE(dump.interrupted);
  for (int i = 0; i < 5'000; ++i) {
    EXPECT_EQ(dump.objects[i].name, Numbered("n", i));
    EXPECT_EQ(dump.objects[i].packets, static_cast<uint64_t>(i));
    EXPECT_EQ(dump.objects[i].bytes, static_cast<uint64_t>(10 * i));
  }
}

TEST(AcctDump, ObjectsDeletedAtTheCursorCutNothingShort) {
  SKIP_UNLESS_OURS("its cursor is the next object");
  AcctPeer peer;
  CreateAll(peer, "gone", 1'000);
  CreateAll(peer, "kept", 2'000);
  const AcctReply dump = InterruptedDump([&](const AcctReply&) {
    for (int i = 0; i < 1'000; ++i) {
      ASSERT_EQ(peer.Delete(Numbered("gone", i)), 0);
    }
  });
  ExpectOnceEach(dump, "kept", 2'000);
  EXPECT_TRUE(dump.interrupted);
}

TEST(AcctDump, ObjectsDeletedBehindTheCursorHideNothing) {
  SKIP_UNLESS_OURS("the interrupted flag");
  AcctPeer peer;
  CreateAll(peer, "n", 3'000);
  std::vector<std::string> seen;
  const AcctReply dump = InterruptedDump([&](const AcctReply& part) {
    ASSERT_GT(part.objects.size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
      ASSERT_EQ(peer.Delete(part.objects[i].name), 0);
    }
  });
  ExpectOnceEach(dump, "n", 3'000);
  EXPECT_TRUE(dump.interrupted);
}

TEST(AcctDump, ObjectsThatComeMeanwhileRepeatNothing) {
  SKIP_UNLESS_OURS("the interrupted flag");
  AcctPeer peer;
  CreateAll(peer, "old", 3'000);
  // Enough for any hash table to grow under the dump.
  const AcctReply dump =
      InterruptedDump([&](const AcctReply&) { CreateAll(peer, "new", 9'000); });
  ExpectOnceEach(dump, "old", 3'000);
  for (const auto& [name, times] : Appearances(dump)) {
    EXPECT_EQ(times, 1) << name;
  }
  EXPECT_TRUE(dump.interrupted);
}

TEST(AcctDump, WhoeverIsDeletedAndMadeAgainAppearsOnceAtMost) {
  SKIP_UNLESS_OURS("its cursor is the next object");
  AcctPeer peer;
  CreateAll(peer, "again", 500);
  CreateAll(peer, "kept", 1'500);
  const AcctReply dump = InterruptedDump([&](const AcctReply&) {
    for (int i = 0; i < 500; ++i) {
      ASSERT_EQ(peer.Delete(Numbered("again", i)), 0);
      ASSERT_EQ(peer.Create(Numbered("again", i)), 0);
    }
  });
  ExpectOnceEach(dump, "kept", 1'500);
  EXPECT_TRUE(dump.interrupted);
}

TEST(AcctDump, EverythingDeletedMeanwhileEndsTheDump) {
  AcctPeer peer;
  CreateAll(peer, "n", 2'000);
  const AcctReply dump = InterruptedDump([&](const AcctReply&) {
    EXPECT_EQ(peer.Do(AcctMessage(NFNL_MSG_ACCT_DEL, NLM_F_ACK)), 0);
  });
  EXPECT_LE(dump.objects.size(), 2'000u);
  EXPECT_TRUE(peer.Dump().objects.empty());
}

TEST(AcctDump, CountsAloneDoNotInterrupt) {
  AcctPeer peer;
  CreateAll(peer, "n", 2'000);
  const AcctReply dump = InterruptedDump([&](const AcctReply&) {
    for (int i = 0; i < 2'000; i += 20) {
      EXPECT_EQ(
          peer.Do(AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_REPLACE | NLM_F_ACK)
                      .Name(Numbered("n", i))),
          0);
    }
  });
  EXPECT_FALSE(dump.interrupted);
  ExpectOnceEach(dump, "n", 2'000);
}

// Every thousandth object has a quota.
void CreateWithFewQuotas(AcctPeer& peer, int count) {
  for (int i = 0; i < count; ++i) {
    AcctMessage message(NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_ACK);
    message.Name(Numbered("n", i)).U64(NFACCT_PKTS, i + 1);
    if (i % 1'000 == 0) {
      message.U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS).U64(NFACCT_QUOTA, 99);
    }
    ASSERT_EQ(peer.Do(message), 0) << i;
  }
}

AcctReply DumpOfQuotas(AcctPeer& peer, int command) {
  return peer.Exchange(
      AcctMessage(command, NLM_F_DUMP)
          .Nested(NFACCT_FILTER,
                  AcctMessage(NFNL_MSG_ACCT_GET, 0)
                      .U32(NFACCT_FILTER_MASK, NFACCT_F_QUOTA_PKTS)
                      .U32(NFACCT_FILTER_VALUE, NFACCT_F_QUOTA_PKTS)));
}

TEST(AcctDump, AFilterFindsTheFewAmongManyAndResetsNoOthers) {
  AcctPeer peer;
  CreateWithFewQuotas(peer, 5'500);
  for (const int command : {NFNL_MSG_ACCT_GET, NFNL_MSG_ACCT_GET_CTRZERO}) {
    const AcctReply dump = DumpOfQuotas(peer, command);
    ASSERT_EQ(dump.objects.size(), 6u);
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(dump.objects[i].name, Numbered("n", 1'000 * i));
      EXPECT_EQ(dump.objects[i].packets, 1'000u * i + 1);
    }
  }
  const AcctReply all = peer.Dump();
  ASSERT_EQ(all.objects.size(), 5'500u);
  for (int i = 0; i < 5'500; ++i) {
    EXPECT_EQ(all.objects[i].packets, i % 1'000 == 0 ? 0u : i + 1u) << i;
  }
}

TEST(AcctDump, DumpsBesideACrowdOfWritersSkipAndRepeatNothing) {
  SKIP_UNLESS_OURS("its cursor is the next object");
  AcctPeer peer;
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_EQ(peer.Create(Numbered("kept", i)), 0);
    ASSERT_EQ(peer.Create(Numbered("other", i)), 0);
  }
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    AcctPeer own;
    for (int i = 0; !stop; i = (i + 7) % 2'000) {
      own.Delete(Numbered("other", i));
      own.Create(Numbered("other", i));
    }
  });
  int interrupted = 0;
  for (int i = 0; i < 30; ++i) {
    AcctPeer reader;
    AcctReply dump;
    ASSERT_TRUE(
        reader.Send(AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_DUMP).bytes()));
    while (!dump.done && reader.Receive(kSmallRoom, 10'000, dump)) continue;
    ExpectOnceEach(dump, "kept", 2'000);
    interrupted += dump.interrupted;
  }
  stop = true;
  writer.join();
  EXPECT_GT(interrupted, 0);
}

TEST(AcctWriters, TwoWritersOfTheSameNamesAgreeAboutEachOfThem) {
  constexpr int kNames = 50;
  constexpr int kRounds = 4'000;
  std::atomic<int> balance{0};
  std::atomic<int> strange{0};
  const auto write = [&](unsigned seed) {
    AcctPeer peer;
    for (int i = 0; i < kRounds; ++i) {
      const std::string name = Numbered("n", rand_r(&seed) % kNames);
      if (rand_r(&seed) % 2 == 0) {
        const int error = peer.Create(name);
        if (error == 0) ++balance;
        if (error != 0 && error != EEXIST) ++strange;
      } else {
        const int error = peer.Delete(name);
        if (error == 0) --balance;
        if (error != 0 && error != ENOENT) ++strange;
      }
    }
  };
  std::thread one(write, 1), two(write, 2);
  one.join();
  two.join();
  EXPECT_EQ(strange, 0);
  AcctPeer peer;
  const AcctReply dump = peer.Dump();
  EXPECT_EQ(static_cast<int>(dump.objects.size()), balance);
  for (const auto& [name, times] : Appearances(dump)) {
    EXPECT_EQ(times, 1) << name;
  }
}

TEST(AcctReset, ADumpThatResetsReportsEachValueOnce) {
  SKIP_UNLESS_OURS("it zeroes what does not fit the message");
  AcctPeer peer;
  CreateAll(peer, "n", 5'000);
  const AcctReply dump = peer.Dump(NFNL_MSG_ACCT_GET_CTRZERO);
  ASSERT_EQ(dump.objects.size(), 5'000u);
  for (int i = 0; i < 5'000; ++i) {
    EXPECT_EQ(dump.objects[i].packets, static_cast<uint64_t>(i));
    EXPECT_EQ(dump.objects[i].bytes, static_cast<uint64_t>(10 * i));
  }
  for (const AcctObject& object : peer.Dump().objects) {
    EXPECT_EQ(object.packets, 0u) << object.name;
    EXPECT_EQ(object.bytes, 0u) << object.name;
  }
}

// A reader that stops at the first mark would lose what was reset already.
TEST(AcctDump, IsMarkedAsInterruptedAtItsEndAlone) {
  SKIP_UNLESS_OURS("the interrupted flag");
  AcctPeer peer;
  CreateAll(peer, "n", 2'000);
  for (const int command : {NFNL_MSG_ACCT_GET, NFNL_MSG_ACCT_GET_CTRZERO}) {
    const AcctReply dump = InterruptedDump(
        [&](const AcctReply&) {
          ASSERT_EQ(peer.Create(Numbered("another", command)), 0);
        },
        command);
    EXPECT_TRUE(dump.interrupted) << command;
    EXPECT_FALSE(dump.object_interrupted) << command;
    ExpectOnceEach(dump, "n", 2'000);
  }
}

// Packets that each count in every object of a table of several messages, and
// what the resets have taken from each.
class AcctResetUnderTraffic : public ::testing::Test {
 protected:
  static constexpr int kObjects = 2'000;
  static constexpr int kPackets = 500;
  static constexpr int kSenders = 2;
  static constexpr uint64_t kPacketBytes = 100;

  void SetUp() override {
    CreateAll(peer_, "n", kObjects);
    // Only what traffic counts is of interest here.
    for (int i = 0; i < kObjects; ++i) {
      ASSERT_EQ(peer_.Do(AcctMessage(NFNL_MSG_ACCT_GET_CTRZERO, NLM_F_ACK)
                             .Name(Numbered("n", i))),
                0);
    }
    std::string rules = "*filter\n";
    for (int i = 0; i < kObjects; ++i) {
      absl::StrAppend(&rules, "-A OUTPUT -p udp -m nfacct --nfacct-name ",
                      Numbered("n", i), "\n");
    }
    const RunResult result = testing::Run({"iptables-legacy-restore"},
                                          absl::StrCat(rules, "COMMIT\n"));
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  static void Send() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string payload(kPacketBytes - 28, 'x');
    for (int i = 0; i < kPackets; ++i) {
      if (sendto(fd, payload.data(), payload.size(), 0,
                 reinterpret_cast<sockaddr*>(&to), sizeof(to)) < 0) {
        --i;  // ECONNREFUSED belongs to the packet before
      }
    }
    close(fd);
  }

  void Take(const AcctReply& reply) {
    for (const AcctObject& object : reply.objects) {
      packets_[object.name] += object.packets;
      bytes_[object.name] += object.bytes;
    }
  }

  // `last` may add what others have taken.
  void ExpectNothingLost(
      const std::function<void()>& reset,
      const std::function<void()>& last = [] {}) {
    std::atomic<int> sending{kSenders};
    std::vector<std::thread> senders;
    for (int i = 0; i < kSenders; ++i) {
      senders.emplace_back([&] {
        Send();
        --sending;
      });
    }
    while (sending > 0) reset();
    for (std::thread& sender : senders) sender.join();
    last();
    Take(peer_.Dump());
    for (int i = 0; i < kObjects; ++i) {
      const std::string name = Numbered("n", i);
      EXPECT_EQ(packets_[name], uint64_t{kSenders} * kPackets) << name;
      EXPECT_EQ(bytes_[name], kPacketBytes * kSenders * kPackets) << name;
    }
  }

  AcctPeer peer_;
  std::map<std::string, uint64_t> packets_, bytes_;
};

TEST_F(AcctResetUnderTraffic, OneByOneLosesNothing) {
  ExpectNothingLost([&] {
    for (int i = 0; i < kObjects; ++i) {
      Take(peer_.Exchange(AcctMessage(NFNL_MSG_ACCT_GET_CTRZERO, NLM_F_ACK)
                              .Name(Numbered("n", i))));
    }
  });
}

TEST_F(AcctResetUnderTraffic, ByDumpLosesNothing) {
  SKIP_UNLESS_OURS("it zeroes what does not fit the message");
  ExpectNothingLost([&] { Take(peer_.Dump(NFNL_MSG_ACCT_GET_CTRZERO)); });
}

TEST_F(AcctResetUnderTraffic, ByTwoDumpsAtOnceLosesNothing) {
  SKIP_UNLESS_OURS("it zeroes what does not fit the message");
  std::vector<AcctReply> taken;
  std::atomic<bool> stop{false};
  std::thread other([&] {
    AcctPeer own;
    while (!stop) taken.push_back(own.Dump(NFNL_MSG_ACCT_GET_CTRZERO));
  });
  ExpectNothingLost([&] { Take(peer_.Dump(NFNL_MSG_ACCT_GET_CTRZERO)); },
                    [&] {
                      stop = true;
                      other.join();
                      for (const AcctReply& reply : taken) Take(reply);
                    });
}

}  // namespace
}  // namespace nfmeter::testing
