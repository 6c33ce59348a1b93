// SPDX-License-Identifier: GPL-3.0-or-later
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;

v1::Node GetNode(ComponentServer& server) {
  v1::GetNodeResponse response;
  EXPECT_OK(Call(*server.node_stub, &v1::NodeService::Stub::GetNode,
                 v1::GetNodeRequest(), &response));
  return response.node();
}

TEST(NodeTest, ShowsHostKernelCapabilitiesAndLimits) {
  ComponentServer server(
      {.limits = {.max_batch_size = 7,
                  .min_snapshot_interval = absl::Milliseconds(1500)},
       .node = {.hostname = "h\xff",
                .version = "1.2.3",
                .kernel_release = "6.1.0",
                .network_namespace = 42,
                .start_time = absl::FromUnixMillis(1'500),
                .capabilities = {{"nfacct",
                                  false,
                                  "load nfnetlink_acct",
                                  {"nfmeter.v1.CounterService/GetCounter"}}},
                .notices = {"nf_tables counts too"}}});
  server.AddObject({.name = "web"});
  const v1::Node node = GetNode(server);
  EXPECT_EQ(node.hostname(), "h\\xff");
  EXPECT_EQ(node.version(), "1.2.3");
  EXPECT_EQ(node.network_namespace(), 42);
  EXPECT_EQ(node.epoch(), server.hub.epoch());
  EXPECT_EQ(node.start_time().seconds(), 1);
  EXPECT_EQ(node.start_time().nanos(), 500'000'000);
  ASSERT_EQ(node.capabilities_size(), 1);
  EXPECT_EQ(node.capabilities(0).name(), "nfacct");
  EXPECT_FALSE(node.capabilities(0).available());
  EXPECT_THAT(node.capabilities(0).methods(),
              ElementsAre("nfmeter.v1.CounterService/GetCounter"));
  EXPECT_THAT(node.notices(), ElementsAre("nf_tables counts too"));
  EXPECT_EQ(node.limits().max_batch_size(), 7);
  EXPECT_EQ(node.limits().min_snapshot_interval().seconds(), 1);
  EXPECT_EQ(node.limits().min_snapshot_interval().nanos(), 500'000'000);
  EXPECT_EQ(node.counter_count(), 0);
  ASSERT_OK(server.hub.Take(absl::ZeroDuration()));
  EXPECT_EQ(GetNode(server).counter_count(), 1);
}

// By it a client tells whether answers are still known by their request_ids.
TEST(NodeTest, ItsEpochLastsAsLongAsTheServer) {
  ComponentServer server(
      {.domain = {.snapshots = {.max_counters = 10, .max_names = 20}}});
  const uint64_t first = GetNode(server).epoch();
  // So many names come and go that the ids of snapshots begin anew.
  for (int i = 0; i < 100; ++i) {
    const std::string name = absl::StrCat("c", i);
    server.AddObject({.name = name});
    ASSERT_OK(server.hub.Take(absl::ZeroDuration()));
    server.acct.Delete({name});
  }
  EXPECT_NE(server.hub.epoch(), first);
  EXPECT_EQ(GetNode(server).epoch(), first);
}

TEST(NodeTest, CountsTheStreamsOfSnapshots) {
  ComponentServer server;
  const auto subscribers = [&] {
    return GetNode(server).snapshot_subscribers();
  };
  EXPECT_EQ(subscribers(), 0u);
  grpc::ClientContext contexts[2];
  std::unique_ptr<grpc::ClientReader<v1::WatchSnapshotsResponse>> readers[2];
  for (int i = 0; i < 2; ++i) {
    readers[i] = server.snapshot_stub->WatchSnapshots(
        &contexts[i], v1::WatchSnapshotsRequest());
    v1::WatchSnapshotsResponse first;
    ASSERT_TRUE(readers[i]->Read(&first));
  }
  EXPECT_EQ(subscribers(), 2u);
  for (int i = 0; i < 2; ++i) {
    contexts[i].TryCancel();
    readers[i]->Finish();
  }
}

}  // namespace
}  // namespace nfmeter::testing
