// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/frame_guard.h"

#include <string>

#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"

namespace nfmeter::interpose {
namespace {

using Verdict = FrameGuard::Verdict;

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kPriority = 2, kRstStream = 3,
                  kSettings = 4, kPing = 6, kWindowUpdate = 8,
                  kContinuation = 9;
constexpr uint8_t kEndStream = 1;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream,
                  size_t length = 0) {
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame.push_back(static_cast<char>(length >> shift));
  }
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) {
    frame.push_back(static_cast<char>(stream >> shift));
  }
  // Bytes that would be frames of their own if a reader lost its place.
  return frame + std::string(length, '\3');
}

absl::Span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class FrameGuardTest : public ::testing::Test {
 protected:
  FrameGuardTest() { Client(kPreface); }

  Verdict Client(const std::string& bytes) {
    return guard_.FromClient(Bytes(bytes));
  }
  Verdict Server(const std::string& bytes) {
    return guard_.FromServer(Bytes(bytes));
  }
  Verdict Call(uint32_t number) {
    return Client(Frame(kHeaders, 4, 2 * number + 1, 50));
  }
  Verdict TakeBack(uint32_t number) {
    return Client(Frame(kRstStream, 0, 2 * number + 1, 4));
  }

  static constexpr uint32_t kResets = 100;
  testing::FakeClock clock_;
  ClientLoads loads_{{}};
  FrameGuard guard_{{.max_open_streams = 100, .max_resets_per_second = kResets},
                    loads_.Of("client"),
                    clock_};
};

TEST_F(FrameGuardTest, CallsThatEndAreFineHoweverMany) {
  for (uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_EQ(Call(i), Verdict::kFine);
    ASSERT_EQ(Client(Frame(kData, kEndStream, 2 * i + 1, 20)), Verdict::kFine);
    ASSERT_EQ(Server(Frame(kHeaders, 4, 2 * i + 1, 10)), Verdict::kFine);
    ASSERT_EQ(Server(Frame(kData, 0, 2 * i + 1, 30)), Verdict::kFine);
    ASSERT_EQ(Server(Frame(kHeaders, 4 | kEndStream, 2 * i + 1, 5)),
              Verdict::kFine);
    ASSERT_EQ(Client(Frame(kWindowUpdate, 0, 0, 4)), Verdict::kFine);
  }
  EXPECT_EQ(guard_.open_streams(), 0u);
}

TEST_F(FrameGuardTest, CallsTakenBackAreCountedEachSecond) {
  uint32_t i = 0;
  for (int second = 0; second < 5; ++second) {
    for (uint32_t k = 0; k < kResets; ++k, ++i) {
      Call(i);
      ASSERT_EQ(TakeBack(i), Verdict::kFine);
    }
    clock_.Advance(absl::Seconds(1));
  }
  // What was not used is not saved up.
  clock_.Advance(absl::Hours(1));
  for (uint32_t k = 0; k < kResets; ++k, ++i) {
    Call(i);
    ASSERT_EQ(TakeBack(i), Verdict::kFine);
  }
  Call(i);
  EXPECT_EQ(TakeBack(i), Verdict::kResets);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Call(i + 1), Verdict::kResets) << "a verdict stays";
}

TEST_F(FrameGuardTest, CallsThatTheServerIsMadeToResetCountAsWell) {
  for (uint32_t i = 0; i < kResets; ++i) {
    Call(i);
    ASSERT_EQ(Server(Frame(kRstStream, 0, 2 * i + 1, 4)), Verdict::kFine);
  }
  Call(kResets);
  EXPECT_EQ(Server(Frame(kRstStream, 0, 2 * kResets + 1, 4)), Verdict::kResets);
}

TEST_F(FrameGuardTest, AllCallsOfAConnectionMayBeTakenBackAtOnce) {
  FrameGuard guard({.max_open_streams = 2000, .max_resets_per_second = 1},
                   loads_.Of("client"), clock_);
  guard.FromClient(Bytes(kPreface));
  for (uint32_t i = 0; i < 1000; ++i) {
    guard.FromClient(Bytes(Frame(kHeaders, 4, 2 * i + 1, 50)));
  }
  for (uint32_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(guard.FromClient(Bytes(Frame(kRstStream, 0, 2 * i + 1, 4))),
              Verdict::kFine);
  }
}

TEST_F(FrameGuardTest, WithoutABoundAnyNumberMayBeTakenBack) {
  FrameGuard guard({.max_resets_per_second = 0}, loads_.Of("client"), clock_);
  guard.FromClient(Bytes(kPreface));
  for (uint32_t i = 0; i < 100'000; ++i) {
    guard.FromClient(Bytes(Frame(kHeaders, 4, 2 * i + 1, 50)));
    ASSERT_EQ(guard.FromClient(Bytes(Frame(kRstStream, 0, 2 * i + 1, 4))),
              Verdict::kFine);
  }
}

TEST_F(FrameGuardTest, MoreOpenCallsThanAllowedAreTooMany) {
  for (uint32_t i = 0; i < 100; ++i) ASSERT_EQ(Call(i), Verdict::kFine);
  EXPECT_EQ(guard_.open_streams(), 100u);
  EXPECT_EQ(Call(100), Verdict::kOpenStreams);
}

TEST_F(FrameGuardTest, AtItsEndAConnectionHasNoMoreCallsThanAllowed) {
  for (uint32_t i = 0; i < 50; ++i) Call(i);
  EXPECT_EQ(guard_.AtEnd(), Verdict::kFine);
  Call(50);
  EXPECT_EQ(guard_.AtEnd(), Verdict::kOpenStreams);
}

// A connection with a client, of several.
class OtherGuard {
 public:
  OtherGuard(ClientLoads& loads, const std::string& client, Clock& clock)
      : guard_({.max_open_streams = 1000}, loads.Of(client), clock) {
    guard_.FromClient(Bytes(kPreface));
  }

  Verdict Call() {
    stream_ += 2;
    return guard_.FromClient(Bytes(Frame(kHeaders, 4, stream_, 50)));
  }
  // More of the newest call's request.
  Verdict Send(size_t bytes) {
    return guard_.FromClient(Bytes(Frame(kData, 0, stream_, bytes)));
  }
  // The newest call is answered, and goes on.
  void Answer() { guard_.FromServer(Bytes(Frame(kData, 0, stream_, 10))); }

 private:
  FrameGuard guard_;
  uint32_t stream_ = 1;
};

TEST_F(FrameGuardTest, WhereAllHaveTooManyCallsClientsOverTheirShareGo) {
  ClientLoads loads({.max_calls = 100});
  OtherGuard modest(loads, "modest", clock_);
  ASSERT_EQ(modest.Call(), Verdict::kFine);
  {
    // However many connections its calls are spread over, and however many have
    // none.
    OtherGuard idle(loads, "greedy", clock_);
    OtherGuard first(loads, "greedy", clock_);
    OtherGuard second(loads, "greedy", clock_);
    for (int i = 0; i < 49; ++i) ASSERT_EQ(first.Call(), Verdict::kFine);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(second.Call(), Verdict::kFine);
    for (int i = 0; i < 40; ++i) ASSERT_EQ(modest.Call(), Verdict::kFine);
    EXPECT_EQ(second.Call(), Verdict::kOpenStreams);
  }
  EXPECT_EQ(loads.calls(), 41u);
}

TEST_F(FrameGuardTest,
       WhereRequestsWaitWithTooManyBytesClientsOverTheirShareGo) {
  ClientLoads loads({.max_request_bytes = 100'000});
  OtherGuard modest(loads, "modest", clock_);
  OtherGuard greedy(loads, "greedy", clock_);
  greedy.Call();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(greedy.Send(10'000), Verdict::kFine);
  }
  // It has just what there is; others still have their share.
  modest.Call();
  EXPECT_EQ(modest.Send(10'000), Verdict::kFine);
  EXPECT_EQ(greedy.Send(1), Verdict::kRequestBytes);
  EXPECT_EQ(loads.request_bytes(), 110'001u);
}

TEST_F(FrameGuardTest, RequestsThatWereAnsweredTakeNoRoom) {
  ClientLoads loads({.max_request_bytes = 100});
  OtherGuard guard(loads, "client", clock_);
  guard.Call();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(guard.Send(100), Verdict::kFine);
    guard.Answer();
  }
  EXPECT_EQ(loads.request_bytes(), 0u);
}

TEST_F(FrameGuardTest, RequestsOfCallsThatEndTakeNoRoom) {
  Call(0);
  Client(Frame(kData, 0, 1, 1000));
  EXPECT_EQ(loads_.request_bytes(), 1000u);
  TakeBack(0);
  EXPECT_EQ(loads_.request_bytes(), 0u);
  Client(Frame(kData, 0, 1, 1000));
  EXPECT_EQ(loads_.request_bytes(), 0u) << "of no call";
}

TEST_F(FrameGuardTest, ACallThatTheServerHasEndedIsNotTakenBack) {
  for (uint32_t i = 0; i < 2 * kResets; ++i) {
    Call(i);
    Server(Frame(kHeaders, kEndStream, 2 * i + 1, 5));
    ASSERT_EQ(TakeBack(i), Verdict::kFine);
  }
}

TEST_F(FrameGuardTest, FramesThatAskForNothingAreBounded) {
  const std::string frames[] = {Frame(kSettings, 0, 0, 6),
                                Frame(kPing, 0, 0, 8),
                                Frame(kPriority, 0, 1, 5),
                                Frame(kContinuation, 0, 1, 100),
                                Frame(kData, 0, 1),
                                Frame(kData, 0, 1, 4),
                                Frame(kWindowUpdate, 0, 0, 4),
                                Frame(kHeaders, 4, 1, 20),
                                Frame(kRstStream, 0, 999'999, 4),
                                Frame(0xfe, 0, 0, 1)};
  for (const std::string& frame : frames) {
    FrameGuard guard({}, loads_.Of("client"), clock_);
    guard.FromClient(Bytes(kPreface));
    guard.FromClient(Bytes(Frame(kHeaders, 4, 1, 50)));
    for (size_t i = 0; i < FrameGuard::kMaxIdleFrames; ++i) {
      ASSERT_EQ(guard.FromClient(Bytes(frame)), Verdict::kFine);
    }
    Verdict verdict = Verdict::kFine;
    // The call before allows two updates of windows.
    for (int i = 0; i < 3; ++i) verdict = guard.FromClient(Bytes(frame));
    EXPECT_EQ(verdict, Verdict::kIdleFrames) << int{frame[3]};
  }
}

TEST_F(FrameGuardTest, DataMayBeAnsweredByUpdatesOfWindows) {
  Call(0);
  for (int i = 0; i < 10'000; ++i) {
    Server(Frame(kData, 0, 1, 16'384));
    ASSERT_EQ(Client(Frame(kWindowUpdate, 0, 0, 4)), Verdict::kFine);
    ASSERT_EQ(Client(Frame(kWindowUpdate, 0, 1, 4)), Verdict::kFine);
  }
}

TEST_F(FrameGuardTest, FramesAreFoundHoweverTheyAreCut) {
  std::string stream = kPreface;
  for (uint32_t i = 0; i < 20; ++i) {
    stream += Frame(kHeaders, 4, 2 * i + 1, 7 * i) +
              Frame(kData, kEndStream, 2 * i + 1, 300);
  }
  for (size_t size = 1; size < 50; ++size) {
    FrameGuard guard({}, loads_.Of("client"), clock_);
    for (size_t at = 0; at < stream.size(); at += size) {
      guard.FromClient(Bytes(stream.substr(at, size)));
    }
    EXPECT_EQ(guard.open_streams(), 20u) << size;
  }
}

TEST_F(FrameGuardTest, WhatIsNotHttp2HasNoFrames) {
  std::string others = "\x16\3\1" + std::string(100, '\0');
  for (int i = 0; i < 3000; ++i) others += Frame(kHeaders, 4, 2 * i + 1);
  FrameGuard guard({}, loads_.Of("client"), clock_);
  EXPECT_EQ(guard.FromClient(Bytes(others)), Verdict::kFine);
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(guard.FromServer(Bytes(Frame(kRstStream, 0, 1, 4))),
              Verdict::kFine);
  }
  EXPECT_EQ(guard.open_streams(), 0u);
}

}  // namespace
}  // namespace nfmeter::interpose
