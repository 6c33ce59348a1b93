// SPDX-License-Identifier: GPL-3.0-or-later
// Requests for which the kernel finds no memory, one allocation after the
// other: what is refused has changed nothing, what is reported is so, and
// nothing that was counted is lost. Needs a kernel with fault injection.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kmod/include/nfnetlink_acct_ext.h"
#include "tests/kmod/programs/acct_peer.h"

namespace nfmeter::testing {
namespace {

constexpr int kMostAllocations = 100;  // of one request; they are far fewer
constexpr int kPatience = 50;  // milliseconds; answers are there at once
constexpr size_t kLargestDatagram = 64 << 10;

// What came of a request. `error` is that of sending or of the ack; without
// either, -1: there was no memory to answer.
struct Outcome {
  int error = -1;
  AcctReply reply;
};

class AcctStarved : public ::testing::Test {
 protected:
  void SetUp() override {
    fail_nth_ = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
    if (fail_nth_ < 0) GTEST_SKIP() << "this kernel has no fault injection";
  }

  ~AcctStarved() override {
    if (fail_nth_ >= 0) close(fail_nth_);
  }

  // Has the n-th allocation of the request fail, for each n that it has.
  // `prepare` comes before each, `check` after it.
  void Sweep(const AcctMessage& request, const std::function<void()>& prepare,
             const std::function<void(const Outcome&)>& check) {
    int failed = 0;
    for (int n = 1; n <= kMostAllocations; ++n) {
      SCOPED_TRACE(absl::StrCat("allocation ", n));
      prepare();
      bool starved = false;
      const Outcome outcome = Try(request, n, starved);
      check(outcome);
      if (HasFailure()) return;
      if (!starved) {
        EXPECT_EQ(outcome.error, 0);
        EXPECT_GT(failed, 0) << "no allocation failed";
        return;
      }
      ++failed;
    }
    ADD_FAILURE() << "the request never had enough";
  }

  AcctPeer peer_;

 private:
  Outcome Try(const AcctMessage& request, int n, bool& starved) {
    AcctPeer peer;
    Outcome outcome;
    Arm(n);
    const bool sent = peer.Send(request.bytes());
    const int error = errno;
    starved = Disarm();
    if (!sent) {
      outcome.error = error;
      return outcome;
    }
    AcctReply& reply = outcome.reply;
    // ENOBUFS tells of an answer that there was no memory for; those before it
    // are there. And a dump that was refused for want of memory goes on all the
    // same, when its error is read.
    while (!reply.done && (peer.Receive(kLargestDatagram, kPatience, reply) ||
                           errno == ENOBUFS)) {
    }
    if (reply.done) outcome.error = reply.done_error;
    if (reply.error.has_value()) outcome.error = *reply.error;
    return outcome;
  }

  void Arm(int n) {
    const std::string number = absl::StrCat(n);
    ASSERT_EQ(pwrite(fail_nth_, number.data(), number.size(), 0),
              static_cast<ssize_t>(number.size()));
  }

  // Whether the allocation was reached, and failed.
  bool Disarm() {
    char left[32] = {};
    const ssize_t size = pread(fail_nth_, left, sizeof(left) - 1, 0);
    int number = 0;
    EXPECT_TRUE(size > 0 && absl::SimpleAtoi(left, &number)) << left;
    Arm(0);
    return number == 0;
  }

  int fail_nth_ = -1;
};

AcctMessage New(uint16_t flags) {
  return AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_ACK | flags)
      .Name("object")
      .U64(NFACCT_PKTS, 7)
      .U64(NFACCT_BYTES, 700);
}

AcctMessage WithQuota(AcctMessage message, uint64_t limit) {
  return message.U32(NFACCT_FLAGS, NFACCT_F_QUOTA_BYTES)
      .U64(NFACCT_QUOTA, limit);
}

MATCHER(IsForWantOfMemory, "") {
  return arg == -1 || arg == ENOMEM || arg == ENOBUFS;
}

TEST_F(AcctStarved, ANewObjectIsThereOrNot) {
  for (const bool quota : {false, true}) {
    const AcctMessage request =
        quota ? WithQuota(New(NLM_F_CREATE), 1'000) : New(NLM_F_CREATE);
    Sweep(
        request, [&] { peer_.Delete("object"); },
        [&](const Outcome& outcome) {
          const auto object = peer_.Get("object");
          if (outcome.error == 0) {
            ASSERT_TRUE(object.has_value());
          } else {
            EXPECT_THAT(outcome.error, IsForWantOfMemory());
            EXPECT_FALSE(outcome.error > 0 && object.has_value());
          }
          if (!object.has_value()) return;
          EXPECT_EQ(object->packets, 7u);
          EXPECT_EQ(object->bytes, 700u);
          EXPECT_EQ(object->quota.has_value(), quota);
        });
  }
}

TEST_F(AcctStarved, AnObjectIsReplacedOrNot) {
  for (const bool had_quota : {false, true}) {
    AcctMessage old = AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_ACK)
                          .Name("object")
                          .U64(NFACCT_PKTS, 3)
                          .U64(NFACCT_BYTES, 300);
    if (had_quota) old = WithQuota(old, 2'000);
    AcctMessage request = New(NLM_F_REPLACE).Attribute(NFACCT_EXT_REPLACE, "");
    if (had_quota) {
      request.U32(NFACCT_FLAGS, 0);
    } else {
      request = WithQuota(request, 1'000);
    }
    Sweep(
        request,
        [&] {
          peer_.Delete("object");
          ASSERT_EQ(peer_.Do(old), 0);
        },
        [&](const Outcome& outcome) {
          const auto object = peer_.Get("object");
          ASSERT_TRUE(object.has_value());
          const bool replaced = object->packets == 7;
          EXPECT_FALSE(outcome.error == 0 && !replaced);
          EXPECT_FALSE(outcome.error > 0 && replaced);
          EXPECT_EQ(object->packets, replaced ? 7u : 3u);
          EXPECT_EQ(object->bytes, replaced ? 700u : 300u);
          EXPECT_EQ(object->quota.has_value(), had_quota != replaced);
        });
  }
}

TEST_F(AcctStarved, ADeletedObjectIsGoneOrNot) {
  Sweep(
      AcctMessage(NFNL_MSG_ACCT_DEL, NLM_F_ACK).Name("object"),
      [&] { peer_.Do(New(NLM_F_CREATE)); },
      [&](const Outcome& outcome) {
        const bool there = peer_.Get("object").has_value();
        EXPECT_FALSE(outcome.error == 0 && there);
        EXPECT_FALSE(outcome.error > 0 && !there);
      });
}

// By name and by dump: what is reported and what is left are all there was.
TEST_F(AcctStarved, AResetLosesNothing) {
  for (const uint16_t flags : {NLM_F_ACK, NLM_F_DUMP}) {
    AcctMessage request(NFNL_MSG_ACCT_GET_CTRZERO, flags);
    if (flags == NLM_F_ACK) request.Name("object");
    Sweep(
        request,
        [&] {
          peer_.Delete("object");
          ASSERT_EQ(peer_.Do(New(NLM_F_CREATE)), 0);
        },
        [&](const Outcome& outcome) {
          const auto left = peer_.Get("object");
          ASSERT_TRUE(left.has_value());
          uint64_t bytes = left->bytes;
          for (const AcctObject& object : outcome.reply.objects) {
            bytes += object.bytes;
          }
          EXPECT_EQ(bytes, 700u);
        });
  }
}

}  // namespace
}  // namespace nfmeter::testing
