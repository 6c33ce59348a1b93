// SPDX-License-Identifier: GPL-3.0-or-later
// Many subscribers, those that do not read, and those that vanish.
#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_callback.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Await;
using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::OpenConnections;
using ::nfmeter::testing::OpenDescriptors;
using ::nfmeter::testing::ResidentKiB;

// One WatchSnapshots stream, received as bytes. Stalled after its first frame,
// or reading all that comes.
class Subscriber final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Subscriber(grpc::GenericStub& stub, const std::string& request, bool stalls)
      : stalls_(stalls) {
    const grpc::Slice slice(request);
    request_ = grpc::ByteBuffer(&slice, 1);
    stub.PrepareBidiStreamingCall(
        &context_, "/nfmeter.v1.SnapshotService/WatchSnapshots", {}, this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&frame_);
    // A stalled stream has nothing in flight; the hold keeps it.
    AddHold();
    StartCall();
  }
  ~Subscriber() override {
    context_.TryCancel();
    RemoveHold();
    done_.WaitForNotification();
  }

  size_t frames() const { return frames_; }
  bool ended() const { return ended_; }

  void OnReadDone(bool ok) override {
    if (!ok) {
      ended_ = true;
      return;
    }
    ++frames_;
    if (!stalls_) StartRead(&frame_);
  }
  void OnDone(const grpc::Status&) override { done_.Notify(); }

 private:
  const bool stalls_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer frame_;
  std::atomic<size_t> frames_ = 0;
  std::atomic<bool> ended_ = false;
  absl::Notification done_;
};

class SubscriberTest : public ::testing::Test {
 protected:
  static constexpr size_t kCounters = 500;

  void StartWithCounters() {
    ASSERT_OK(server_.Start());
    v1::BatchCreateCountersRequest counters;
    for (size_t i = 0; i < kCounters; ++i) {
      counters.add_counters()->set_name(absl::StrCat("account-", i));
    }
    ASSERT_OK(server_.Connect()->BatchCreateCounters(counters).status());
  }

  static std::string Request() {
    v1::WatchSnapshotsRequest request;
    request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
    request.mutable_interval()->set_nanos(200'000'000);
    return request.SerializeAsString();
  }

  // A connection of its own.
  std::unique_ptr<grpc::GenericStub> Connection() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        server_.target(), grpc::InsecureChannelCredentials(), arguments));
  }

  FaultServer server_;
};

TEST_F(SubscriberTest, StalledOnesCostBoundedMemoryAndDelayNobody) {
  constexpr size_t kStreams = 1000;
  constexpr size_t kStreamsPerConnection = 100;
  StartWithCounters();
  ASSERT_OK(server_.Connect()->GetSnapshot());
  const size_t before = ResidentKiB(server_.pid());
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  std::vector<std::unique_ptr<Subscriber>> stalled;
  std::vector<std::unique_ptr<Subscriber>> reading;
  for (size_t i = 0; i < kStreams; ++i) {
    if (i % kStreamsPerConnection == 0) stubs.push_back(Connection());
    const bool stalls = i % 2 == 0;
    (stalls ? stalled : reading)
        .push_back(
            std::make_unique<Subscriber>(*stubs.back(), Request(), stalls));
  }
  // Each reader gets this many frames more.
  const auto read_on = [&](size_t frames) {
    std::vector<size_t> goals;
    for (const auto& each : reading) goals.push_back(each->frames() + frames);
    return Await([&] {
      for (size_t i = 0; i < reading.size(); ++i) {
        if (reading[i]->frames() < goals[i]) return false;
      }
      return true;
    });
  };
  ASSERT_TRUE(read_on(5));
  for (const auto& each : stalled) {
    ASSERT_TRUE(Await([&] { return each->frames() == 1; }));
  }
  const size_t early = ResidentKiB(server_.pid());
  EXPECT_LT(early - before, kStreams * 128);
  ASSERT_TRUE(read_on(15));
  // Flat over time: less than a frame more for each that stalls.
  const size_t late = ResidentKiB(server_.pid());
  EXPECT_LT(late, early + stalled.size() * 8) << "KiB, from " << before;
  for (const auto& each : stalled) EXPECT_FALSE(each->ended());
  // And new calls are answered.
  EXPECT_OK(server_.Connect()->GetCounter("account-0").status());
}

TEST_F(SubscriberTest, AClientThatVanishesWithItsConnectionsLeavesNothing) {
  constexpr size_t kConnections = 200;
  // The client, forked while there is one thread and no gRPC.
  int go[2];
  int ready[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t client = fork();
  if (client == 0) {
    char byte;
    if (read(go[0], &byte, 1) != 1) _exit(1);
    std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
    std::vector<std::unique_ptr<Subscriber>> subscribers;
    for (size_t i = 0; i < kConnections; ++i) {
      stubs.push_back(Connection());
      subscribers.push_back(
          std::make_unique<Subscriber>(*stubs.back(), Request(), i % 2 == 0));
    }
    for (const auto& each : subscribers) {
      if (!Await([&] { return each->frames() > 0; })) _exit(1);
    }
    if (write(ready[1], "r", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(ready[1]);
  StartWithCounters();
  const auto other = server_.Connect();
  ASSERT_OK(other->GetNode().status());
  // Of the two clients that there were, this one is left.
  ASSERT_TRUE(Await([&] { return OpenConnections(server_) == 1; }));
  const size_t descriptors = OpenDescriptors(server_.pid());
  ASSERT_EQ(write(go[1], "g", 1), 1);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1) << "the client failed";
  EXPECT_EQ(OpenConnections(server_), 1 + kConnections);
  kill(client, SIGKILL);
  waitpid(client, nullptr, 0);
  EXPECT_TRUE(Await([&] { return OpenConnections(server_) == 1; }));
  EXPECT_TRUE(
      Await([&] { return OpenDescriptors(server_.pid()) <= descriptors; }));
  EXPECT_OK(other->GetNode().status());
  const auto watch = other->WatchSnapshots();
  EXPECT_OK(watch->Next().status());
}

}  // namespace
}  // namespace nfmeter
