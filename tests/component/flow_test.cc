// SPDX-License-Identifier: GPL-3.0-or-later
// FlowService: what it answers, to whom, and what it refuses.
#include <errno.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Flows = v1::FlowService::Stub;

ComponentServer::Options With(security::FlowAccess flows) {
  ComponentServer::Options options;
  options.flows = flows;
  // The clock stands still.
  options.domain.flows.min_interval = absl::ZeroDuration();
  return options;
}

ComponentServer::Options WithPolicy(const std::string& grant) {
  ComponentServer::Options options = With(security::FlowAccess::kNone);
  options.role = security::Role::kNone;
  options.policy = absl::StrCat(
      "version: 1\nrules:\n  - principals: ['socket:*']\n    role: viewer\n",
      grant);
  return options;
}

kernel::FakeFlowTable& TableOf(ComponentServer& server) {
  return server.kernel.flows();
}

void AddSome(ComponentServer& server) {
  TableOf(server).Count(TcpFlow("10.1.2.3", 1000, "192.0.2.1", 443), {10, 1000},
                        {5, 9000});
  TableOf(server).Count(TcpFlow("10.1.2.4", 1001, "192.0.2.1", 443), {1, 100},
                        {1, 100});
  TableOf(server).Count(TcpFlow("10.1.3.1", 1002, "192.0.2.1", 80), {2, 200},
                        {});
  TableOf(server).Count(TcpFlow("2001:db8::1", 1003, "2001:db8::2", 80),
                        {3, 300}, {});
}

grpc::Status Summarize(ComponentServer& server,
                       const v1::SummarizeFlowsRequest& request,
                       v1::SummarizeFlowsResponse* response) {
  return Call(*server.flow_stub, &Flows::SummarizeFlows, request, response);
}

grpc::Status List(ComponentServer& server, const v1::ListFlowsRequest& request,
                  v1::ListFlowsResponse* all) {
  grpc::ClientContext context;
  const auto reader = server.flow_stub->ListFlows(&context, request);
  v1::ListFlowsResponse chunk;
  while (reader->Read(&chunk)) all->MergeFrom(chunk);
  return reader->Finish();
}

std::vector<std::string> NoticesOf(const v1::FlowReading& reading) {
  return {reading.notices().begin(), reading.notices().end()};
}

TEST(FlowTest, SumsByPrefixAndPort) {
  ComponentServer server(With(security::FlowAccess::kFull));
  AddSome(server);
  v1::SummarizeFlowsRequest request;
  request.mutable_grouping()->mutable_source()->set_ipv4(24);
  request.mutable_grouping()->set_destination_port(true);
  request.set_limit(2);
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, request, &response));
  const v1::FlowRanking& ranking = response.ranking();
  ASSERT_EQ(ranking.groups_size(), 2);
  EXPECT_EQ(ranking.groups(0).source(), "10.1.2.0/24");
  EXPECT_EQ(ranking.groups(0).destination_port(), 443u);
  EXPECT_EQ(ranking.groups(0).sums().flows(), 2u);
  EXPECT_EQ(ranking.groups(0).sums().original().bytes(), 1100u);
  EXPECT_EQ(ranking.groups(0).sums().reply().bytes(), 9100u);
  EXPECT_EQ(ranking.groups(1).source(), "2001:db8::1/128");
  EXPECT_EQ(ranking.other().original().bytes(), 200u);
  EXPECT_EQ(ranking.total().flows(), 4u);
  EXPECT_EQ(ranking.group_count(), 3u);
  EXPECT_TRUE(response.reading().complete());
  EXPECT_TRUE(response.reading().tracking().accounting());
  EXPECT_THAT(NoticesOf(response.reading()), IsEmpty());
}

TEST(FlowTest, ListsBothDirectionsAndFilters) {
  ComponentServer server(With(security::FlowAccess::kFull));
  AddSome(server);
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_source("10.1.2.0/24");
  request.mutable_filter()->add_destination_ports()->set_first(443);
  v1::ListFlowsResponse response;
  ASSERT_OK(List(server, request, &response));
  ASSERT_EQ(response.flows_size(), 2);
  const v1::Flow& flow = response.flows(0);
  EXPECT_EQ(flow.protocol(), "tcp");
  EXPECT_EQ(flow.protocol_number(), 6u);
  EXPECT_EQ(flow.original().source_address(), "10.1.2.3");
  EXPECT_EQ(flow.reply().source_address(), "192.0.2.1");
  EXPECT_EQ(flow.original_counts().bytes(), 1000u);
  EXPECT_EQ(flow.reply_counts().packets(), 5u);
  EXPECT_EQ(flow.tcp_state(), v1::FLOW_TCP_STATE_ESTABLISHED);
  EXPECT_THAT(flow.status(), Contains(v1::FLOW_STATUS_SEEN_REPLY));
  EXPECT_TRUE(flow.has_start_time());
  EXPECT_TRUE(response.reading().complete());
}

TEST(FlowTest, ListsThousandsInChunks) {
  ComponentServer server(With(security::FlowAccess::kFull));
  for (int i = 0; i < 2'000; ++i) {
    TableOf(server).Count(TcpFlow("10.0.0.1", 1'000 + i, "10.0.0.2", 80),
                          {1, 100}, {});
  }
  v1::ListFlowsResponse response;
  ASSERT_OK(List(server, {}, &response));
  EXPECT_EQ(response.flows_size(), 2'000);
}

TEST(FlowTest, FlowsWithoutCountersHaveNone) {
  ComponentServer server(With(security::FlowAccess::kFull));
  kernel::FlowTracking tracking = *TableOf(server).Tracking();
  tracking.accounting = false;
  TableOf(server).SetTracking(tracking);
  TableOf(server).Count(
      [] {
        kernel::FlowRecord flow = TcpFlow("10.0.0.1", 1, "10.0.0.2", 80);
        flow.original_counts.reset();
        flow.reply_counts.reset();
        return flow;
      }(),
      {1, 100}, {});
  v1::ListFlowsResponse response;
  ASSERT_OK(List(server, {}, &response));
  ASSERT_EQ(response.flows_size(), 1);
  EXPECT_FALSE(response.flows(0).has_original_counts());
  EXPECT_FALSE(response.reading().tracking().accounting());
  EXPECT_THAT(NoticesOf(response.reading()),
              ElementsAre(HasSubstr("--enable-flow-accounting")));
}

TEST(FlowTest, SaysWhyThereMayBeNoFlows) {
  ComponentServer server(With(security::FlowAccess::kSummary));
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, {}, &response));
  EXPECT_THAT(NoticesOf(response.reading()),
              ElementsAre(HasSubstr("sleeps until a rule uses it")));
}

TEST(FlowTest, WatchesWhatIsNew) {
  ComponentServer server(With(security::FlowAccess::kFull));
  const auto flow = TcpFlow("10.0.0.1", 1, "10.0.0.2", 80);
  TableOf(server).Count(flow, {10, 1000}, {});
  v1::WatchFlowsRequest request;
  request.mutable_interval()->set_seconds(1);
  request.mutable_grouping()->set_destination_port(true);
  grpc::ClientContext context;
  const auto reader = server.flow_stub->WatchFlows(&context, request);
  // The baseline is taken when the kernel has been listened to and read.
  while (TableOf(server).dumps() == 0) absl::SleepFor(absl::Milliseconds(1));
  v1::SummarizeFlowsResponse ignored;
  ASSERT_OK(Summarize(server, {}, &ignored));
  TableOf(server).Count(flow, {2, 200}, {1, 50});
  TableOf(server).End(flow);
  server.Advance(absl::Seconds(2));
  v1::WatchFlowsResponse frame;
  ASSERT_TRUE(reader->Read(&frame));
  ASSERT_EQ(frame.ranking().groups_size(), 1);
  const v1::FlowGroup& group = frame.ranking().groups(0);
  EXPECT_EQ(group.destination_port(), 80u);
  EXPECT_EQ(group.sums().original().bytes(), 200u);
  EXPECT_EQ(group.sums().reply().bytes(), 50u);
  EXPECT_EQ(group.sums().ended_flows(), 1u);
  EXPECT_FALSE(frame.lower_bound());
  EXPECT_LT(frame.since().seconds(), frame.reading().read_time().seconds());
}

TEST(FlowTest, DoesNotWatchWhatIsNotCounted) {
  ComponentServer server(With(security::FlowAccess::kFull));
  kernel::FlowTracking tracking = *TableOf(server).Tracking();
  tracking.accounting = false;
  TableOf(server).SetTracking(tracking);
  grpc::ClientContext context;
  const auto reader = server.flow_stub->WatchFlows(&context, {});
  v1::WatchFlowsResponse frame;
  EXPECT_FALSE(reader->Read(&frame));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "FLOW_ACCOUNTING_OFF");
}

TEST(FlowTest, SaysThatConnectionTrackingIsMissing) {
  ComponentServer server(With(security::FlowAccess::kFull));
  TableOf(server).FailDumps(EINVAL);
  v1::SummarizeFlowsResponse response;
  const grpc::Status status = Summarize(server, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONNTRACK_UNAVAILABLE");
}

TEST(FlowTest, NoRoleIncludesFlows) {
  ComponentServer server(With(security::FlowAccess::kNone));
  v1::SummarizeFlowsResponse sums;
  v1::ListFlowsResponse flows;
  for (const grpc::Status& status :
       {Summarize(server, {}, &sums), List(server, {}, &flows)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "NOT_PERMITTED");
    EXPECT_THAT(status.error_message(), HasSubstr("flows: "));
  }
}

TEST(FlowTest, SummaryShortensAddresses) {
  ComponentServer server(WithPolicy("    flows: summary\n"));
  AddSome(server);
  v1::SummarizeFlowsRequest request;
  request.mutable_grouping()->mutable_source()->set_ipv4(32);
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, request, &response));
  EXPECT_EQ(response.grouping().source().ipv4(), 24u);
  EXPECT_EQ(response.grouping().source().ipv6(), 48u);
  std::vector<std::string> sources;
  for (const auto& group : response.ranking().groups()) {
    sources.push_back(group.source());
  }
  EXPECT_THAT(sources, UnorderedElementsAre("10.1.2.0/24", "10.1.3.0/24",
                                            "2001:db8::/48"));
  EXPECT_THAT(NoticesOf(response.reading()),
              ElementsAre(HasSubstr("shortened")));
  v1::ListFlowsResponse flows;
  EXPECT_EQ(List(server, {}, &flows).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST(FlowTest, SummaryDoesNotTellOfSingleHostsByTheFilterEither) {
  ComponentServer server(WithPolicy("    flows: summary\n"));
  AddSome(server);
  v1::SummarizeFlowsResponse response;
  for (const char* prefix : {"10.1.2.3", "10.1.2.0/25", "2001:db8::/64"}) {
    v1::SummarizeFlowsRequest request;
    request.mutable_filter()->set_address(prefix);
    const grpc::Status status = Summarize(server, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "FLOW_PREFIX_NOT_PERMITTED");
  }
  v1::SummarizeFlowsRequest request;
  request.mutable_filter()->set_address("10.1.2.0/24");
  EXPECT_OK(Summarize(server, request, &response));
}

TEST(FlowTest, APolicySaysHowMuchIsShown) {
  ComponentServer server(WithPolicy(
      "    flows: summary\n    flow_prefixes: {ipv4: 8, ipv6: 16}\n"));
  AddSome(server);
  v1::SummarizeFlowsRequest request;
  request.mutable_grouping()->mutable_source();
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, request, &response));
  std::vector<std::string> sources;
  for (const auto& group : response.ranking().groups()) {
    sources.push_back(group.source());
  }
  EXPECT_THAT(sources, UnorderedElementsAre("10.0.0.0/8", "2001::/16"));
}

TEST(FlowTest, CounterPrefixesDoNotNarrowFlowsAndThatIsSaid) {
  ComponentServer server(
      WithPolicy("    flows: full\n    counter_prefixes: [a-]\n"));
  AddSome(server);
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, {}, &response));
  EXPECT_EQ(response.ranking().total().flows(), 4u);
  EXPECT_THAT(NoticesOf(response.reading()),
              ElementsAre(HasSubstr("counter prefixes")));
}

TEST(FlowTest, RefusesWhatContradictsItself) {
  ComponentServer server(With(security::FlowAccess::kFull));
  v1::SummarizeFlowsRequest request;
  v1::FlowFilter* const filter = request.mutable_filter();
  filter->set_protocol("icmp");
  filter->set_source("2001:db8::/32");
  filter->set_destination("10.0.0.1/8");
  filter->add_ports()->set_first(80);
  filter->mutable_mark()->set_value(0x100);
  filter->mutable_mark()->set_mask(0xff);
  filter->set_zone(70'000);
  filter->add_status(v1::FLOW_STATUS_ASSURED);
  filter->add_without_status(v1::FLOW_STATUS_ASSURED);
  filter->add_tcp_states(v1::FLOW_TCP_STATE_CLOSE);
  request.mutable_grouping()->mutable_source()->set_ipv4(33);
  request.mutable_grouping()->mutable_destination()->set_ipv6(129);
  request.mutable_max_staleness()->set_seconds(-1);
  v1::SummarizeFlowsResponse response;
  const grpc::Status status = Summarize(server, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status),
              UnorderedElementsAre(
                  "filter.source", "filter.destination", "filter.ports",
                  "filter.mark", "filter.zone", "filter.without_status",
                  "filter.tcp_states", "grouping.source.ipv4",
                  "grouping.destination.ipv6", "max_staleness"));
}

TEST(FlowTest, SaysThatThereAreTooManyGroups) {
  ComponentServer::Options options = With(security::FlowAccess::kFull);
  options.domain.flows.max_groups = 2;
  ComponentServer server(options);
  AddSome(server);
  v1::SummarizeFlowsRequest request;
  request.mutable_grouping()->mutable_source();
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, request, &response));
  EXPECT_EQ(response.ranking().groups_size(), 2);
  EXPECT_EQ(response.ranking().ungrouped_flows(), 2u);
  EXPECT_EQ(response.ranking().total().flows(), 4u);
}

// The audit log says which caller read which connections.
class AuditObserver final : public telemetry::CallObserver {
 public:
  void OnCallEnded(const telemetry::CallRecord& record) override {
    absl::MutexLock lock(&mutex_);
    if (!record.audited) return;
    lines_.push_back(absl::StrCat(
        record.method, " ", record.targets.empty() ? "" : record.targets[0]));
  }
  std::vector<std::string> Take(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto are_there = [this, count] { return lines_.size() >= count; };
    mutex_.Await(absl::Condition(&are_there));
    return lines_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> lines_;
};

TEST(FlowTest, EveryCallIsAudited) {
  AuditObserver observer;
  ComponentServer::Options options = With(security::FlowAccess::kFull);
  options.observers = {&observer};
  ComponentServer server(options);
  v1::SummarizeFlowsRequest sums;
  sums.mutable_filter()->set_source("10.0.0.0/8");
  v1::SummarizeFlowsResponse response;
  ASSERT_OK(Summarize(server, sums, &response));
  v1::ListFlowsRequest list;
  list.mutable_filter()->set_address("192.0.2.7");
  v1::ListFlowsResponse flows;
  ASSERT_OK(List(server, list, &flows));
  EXPECT_THAT(observer.Take(2),
              UnorderedElementsAre(
                  AllOf(HasSubstr("SummarizeFlows"), HasSubstr("10.0.0.0/8")),
                  AllOf(HasSubstr("ListFlows"), HasSubstr("192.0.2.7"))));
}

}  // namespace
}  // namespace nfmeter::testing
