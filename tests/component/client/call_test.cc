// Unary calls of the SDK: retries, request ids, pages, batches, health.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/src/connection.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "nfmeter/client.h"
#include "tests/component/client/fake_server.h"
#include "tests/support/fake_client_environment.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FakeClientEnvironment;
using ::nfmeter::testing::FakeServer;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "restarting");

// An error as nfmeterd makes them.
grpc::Status Fail(grpc::StatusCode code, const std::string& reason,
                  const std::string& message, const std::string& field = "") {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  if (!field.empty()) {
    google::rpc::BadRequest request;
    request.add_field_violations()->set_field(field);
    status.add_details()->PackFrom(request);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

class CallTest : public ::testing::Test {
 protected:
  // The server's bound, as NodeService tells it.
  void LimitBatches(int items) {
    server_.node.on_GetNode = [this, items](const auto&, auto* response) {
      ++node_calls_;
      response->mutable_node()->mutable_limits()->set_max_batch_size(items);
      return grpc::Status::OK;
    };
  }

  // NodeService tells epoch_: which process of the server this is.
  void TellEpoch() {
    server_.node.on_GetNode = [this](const auto&, auto* response) {
      ++node_calls_;
      response->mutable_node()->set_epoch(epoch_);
      return grpc::Status::OK;
    };
  }

  std::atomic<int> node_calls_ = 0;
  std::atomic<uint64_t> epoch_ = 7;
  FakeServer server_;
  std::shared_ptr<FakeClientEnvironment> environment_ =
      std::make_shared<FakeClientEnvironment>();
  std::shared_ptr<client_internal::Connection> connection_ =
      *client_internal::Connection::Open({.address = server_.address()},
                                         environment_);
  std::unique_ptr<Client> client_ = std::make_unique<Client>(connection_);
};

TEST_F(CallTest, ShortFormsReturnTheObject) {
  server_.counters.on_CreateCounter = [](const auto& request, auto* response) {
    *response->mutable_counter() = request.counter();
    return grpc::Status::OK;
  };
  const auto counter = client_->CreateCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->name(), "http");
}

TEST_F(CallTest, AChangeIsRetriedUnderOneRequestId) {
  TellEpoch();
  std::vector<std::string> ids;
  server_.counters.on_ResetCounter = [&](const auto& request, auto* response) {
    ids.push_back(request.request_id());
    if (ids.size() < 3) return kUnavailable;
    response->mutable_counter()->set_packets(5);
    return grpc::Status::OK;
  };
  const auto counter = client_->ResetCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets(), 5u);
  EXPECT_THAT(ids, ElementsAre("id-1", "id-1", "id-1"));
}

TEST_F(CallTest, TheEpochIsAskedForOnce) {
  TellEpoch();
  server_.counters.on_ResetCounter = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  for (int i = 0; i < 3; ++i) EXPECT_OK(client_->ResetCounter("http"));
  EXPECT_EQ(node_calls_, 1);
}

TEST_F(CallTest, AChangeThatARestartedServerMayHaveMadeIsNotRetried) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    // Carried out, and then the process ended before it could answer.
    ++calls;
    epoch_ = 8;
    return kUnavailable;
  };
  const auto counter = client_->ResetCounter("http");
  EXPECT_THAT(counter,
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("restarted"), HasSubstr("not known"))));
  EXPECT_EQ(ErrorReason(counter.status()), reason::kServerRestarted);
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("Read the counters"));
  EXPECT_EQ(calls, 1);
}

TEST_F(CallTest, ARestartDuringTheRetriesIsNoticedToo) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_BatchDeleteCounters = [&](const auto&, auto*) {
    if (++calls == 2) epoch_ = 8;
    return kUnavailable;
  };
  v1::BatchDeleteCountersRequest request;
  request.add_names("http");
  EXPECT_EQ(ErrorReason(client_->BatchDeleteCounters(request).status()),
            reason::kServerRestarted);
  EXPECT_EQ(calls, 2);
}

TEST_F(CallTest, AConnectionThatBreaksInAChangeMeansTheSame) {
  TellEpoch();
  std::atomic<int> calls = 0;
  absl::Notification reached;
  absl::Notification lost;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    if (++calls > 1) return grpc::Status::OK;
    reached.Notify();
    lost.WaitForNotification();
    return grpc::Status::OK;
  };
  std::thread stop([&] {
    reached.WaitForNotification();
    server_.Stop();  // breaks the connection, then waits for the handler
  });
  environment_->on_sleep = [&](absl::Notification*) {
    if (!stop.joinable()) return;
    lost.Notify();
    stop.join();
    epoch_ = 8;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  const auto counter = client_->ResetCounter("http");
  EXPECT_EQ(ErrorReason(counter.status()), reason::kServerRestarted)
      << counter.status();
  EXPECT_EQ(calls, 1);
  if (stop.joinable()) {
    lost.Notify();
    stop.join();
  }
}

TEST_F(CallTest, AChangeThatReachedNobodyIsRetriedWithARestartedServer) {
  TellEpoch();
  server_.counters.on_ResetCounter = [](const auto&, auto* response) {
    response->mutable_counter()->set_packets(5);
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->ResetCounter("http"));
  server_.Stop();
  EXPECT_EQ(ErrorReason(client_->GetNode().status()), reason::kSocketMissing);
  const size_t slept = environment_->sleeps().size();
  environment_->on_sleep = [&](absl::Notification*) {
    epoch_ = 8;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  const auto counter = client_->ResetCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets(), 5u);
  EXPECT_EQ(environment_->sleeps().size(), slept + 1);
}

TEST_F(CallTest, AChangeThatTheServerRefusedIsRetriedWhateverItsEpoch) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    if (++calls > 1) return grpc::Status::OK;
    epoch_ = 8;
    return Fail(grpc::StatusCode::UNAVAILABLE, "KERNEL_BUSY", "try again");
  };
  EXPECT_OK(client_->ResetCounter("http"));
  EXPECT_EQ(calls, 2);
}

TEST_F(CallTest, WithoutAnEpochAChangeInDoubtIsNotRetried) {
  int calls = 0;  // no GetNode: an older server
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    ++calls;
    return kUnavailable;
  };
  EXPECT_EQ(ErrorReason(client_->ResetCounter("http").status()),
            reason::kServerRestarted);
  EXPECT_EQ(calls, 1);
}

TEST_F(CallTest, AnOutageAfterAChangeInDoubtTellsThatItIsNotKnown) {
  TellEpoch();
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    return kUnavailable;
  };
  environment_->on_sleep = [&](absl::Notification*) { server_.Stop(); };
  const auto counter = client_->ResetCounter("http");
  EXPECT_THAT(counter, StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr("carried out is not known")));
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("Read the counters"));
}

TEST_F(CallTest, TheRequestIdOfTheCallerIsKept) {
  std::string id;
  server_.counters.on_DeleteCounter = [&](const auto& request, auto*) {
    id = request.request_id();
    return grpc::Status::OK;
  };
  v1::DeleteCounterRequest request;
  request.set_name("http");
  request.set_request_id("mine");
  EXPECT_OK(client_->DeleteCounter(request));
  EXPECT_EQ(id, "mine");
}

TEST_F(CallTest, TextThatIsNotUtf8IsNamedAndNotSent) {
  int calls = 0;
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status::OK;
  };
  v1::BatchCreateCountersRequest request;
  request.add_counters()->set_name("gr\xc3\xbcn");
  request.add_counters()->set_name("a\xff");
  const auto answer = client_->BatchCreateCounters(request);
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(ErrorReason(answer.status()), reason::kBadText);
  const auto fields = FieldViolations(answer.status());
  ASSERT_EQ(fields.size(), 1u);
  EXPECT_EQ(fields[0].field, "counters[1].name");
  EXPECT_EQ(fields[0].description, "'a\\xff' is not UTF-8");
  EXPECT_EQ(calls, 0);
}

TEST_F(CallTest, ErrorsComeWithReasonAndAreNotRetried) {
  int calls = 0;
  server_.counters.on_GetCounter = [&](const auto&, auto*) {
    ++calls;
    return Fail(grpc::StatusCode::NOT_FOUND, "COUNTER_NOT_FOUND",
                "no counter \"x\"");
  };
  const auto counter = client_->GetCounter("x");
  EXPECT_THAT(counter,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"x\"")));
  EXPECT_EQ(ErrorReason(counter.status()), "COUNTER_NOT_FOUND");
  EXPECT_EQ(calls, 1);
}

TEST_F(CallTest, ACallSurvivesARestartOfTheServer) {
  server_.counters.on_GetCounter = [](const auto&, auto* response) {
    response->mutable_counter()->set_packets(1);
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->GetCounter("a"));
  server_.Stop();
  environment_->on_sleep = [&](absl::Notification*) {
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  EXPECT_OK(client_->GetCounter("a"));
  EXPECT_EQ(environment_->sleeps().size(), 1u);
}

TEST_F(CallTest, AMissingServerIsExplained) {
  server_.Stop();
  const auto node = client_->GetNode();
  EXPECT_THAT(node, StatusIs(absl::StatusCode::kUnavailable,
                             AllOf(HasSubstr("there is no socket"),
                                   HasSubstr(server_.socket()))));
  EXPECT_EQ(ErrorReason(node.status()), reason::kSocketMissing);
}

TEST_F(CallTest, TheDeadlineIsThatOfTheCall) {
  auto release = std::make_shared<absl::Notification>();
  server_.counters.on_GetCounter = [release](const auto&, auto*) {
    release->WaitForNotification();
    return grpc::Status::OK;
  };
  const auto counter =
      client_->GetCounter("a", {.timeout = absl::Milliseconds(30)});
  release->Notify();
  EXPECT_THAT(counter, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("did not answer in time"));
}

TEST_F(CallTest, AnUnknownMethodHintsAtAnOlderServer) {
  EXPECT_THAT(ErrorHint(client_->GetNode().status()), HasSubstr("older"));
}

TEST_F(CallTest, ListsHideTheirPages) {
  std::vector<std::string> tokens;
  server_.counters.on_ListCounters = [&](const auto& request, auto* response) {
    EXPECT_EQ(request.filter().name_glob(), "a*");
    tokens.push_back(request.page_token());
    response->add_counters()->set_name("a" + request.page_token());
    response->set_total_size(3);
    if (tokens.size() < 3) {
      response->set_next_page_token(std::to_string(tokens.size()));
    }
    return grpc::Status::OK;
  };
  const auto counters = client_->ListCounters("a*");
  ASSERT_OK(counters);
  ASSERT_EQ(counters->size(), 3u);
  EXPECT_EQ((*counters)[2].name(), "a2");
  EXPECT_THAT(tokens, ElementsAre("", "1", "2"));
}

TEST_F(CallTest, PagesStopWhenTheCallerHasEnough) {
  server_.counters.on_ListCounters = [](const auto& request, auto* response) {
    response->set_next_page_token(request.page_token() + "x");
    return grpc::Status::OK;
  };
  int pages = 0;
  EXPECT_OK(
      client_->ListCounterPages({}, [&](const auto&) { return ++pages < 2; }));
  EXPECT_EQ(pages, 2);
}

TEST_F(CallTest, APageTokenThatRepeatsDoesNotLoopForever) {
  server_.counters.on_ListCounters = [](const auto&, auto* response) {
    response->set_next_page_token("again");
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->ListCounters(""), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(CallTest, AListOfRulesBeginsAgainWhenTheyChange) {
  int calls = 0;
  server_.rules.on_ListRules = [&](const auto& request, auto* response) {
    if (++calls == 2) {
      return Fail(grpc::StatusCode::ABORTED, "RULES_CHANGED", "changed");
    }
    response->add_rules()->set_id(request.page_token().empty() ? "1" : "2");
    if (request.page_token().empty()) response->set_next_page_token("2");
    return grpc::Status::OK;
  };
  const auto rules = client_->ListRules();
  ASSERT_OK(rules);
  EXPECT_EQ(rules->rules_size(), 2);
  server_.rules.on_ListRules = [&](const auto&, auto*) {
    return Fail(grpc::StatusCode::ABORTED, "RULES_CHANGED", "changed");
  };
  EXPECT_THAT(client_->ListRules(), StatusIs(absl::StatusCode::kAborted));
}

v1::BatchCreateCountersRequest CreateBatch(int items) {
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < items; ++i) {
    request.add_counters()->set_name("c" + std::to_string(i));
  }
  return request;
}

TEST_F(CallTest, LargeBatchesAreSplitAndPutTogether) {
  LimitBatches(400);
  std::vector<std::pair<int, std::string>> parts;
  server_.counters.on_BatchCreateCounters = [&](const auto& request,
                                                auto* response) {
    parts.push_back({request.counters_size(), request.request_id()});
    *response->mutable_counters() = request.counters();
    return grpc::Status::OK;
  };
  std::vector<std::pair<size_t, size_t>> progress;
  const auto created = client_->BatchCreateCounters(
      CreateBatch(1000), {}, [&](size_t done, size_t total) {
        progress.push_back({done, total});
      });
  ASSERT_OK(created);
  ASSERT_EQ(created->counters_size(), 1000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(created->counters(i).name(), "c" + std::to_string(i));
  }
  EXPECT_THAT(parts, ElementsAre(Pair(400, "id-1/0"), Pair(400, "id-1/1"),
                                 Pair(200, "id-1/2")));
  EXPECT_THAT(progress,
              ElementsAre(Pair(400, 1000), Pair(800, 1000), Pair(1000, 1000)));
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(401)));
  EXPECT_EQ(node_calls_, 1);  // the bound is asked for once
}

TEST_F(CallTest, SmallBatchesGoAsTheyAre) {
  LimitBatches(10'000);
  std::string id;
  server_.counters.on_BatchCreateCounters = [&](const auto& request, auto*) {
    id = request.request_id();
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(100)));
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(101)));
  EXPECT_EQ(node_calls_, 1);
  EXPECT_EQ(id, "id-2");
}

TEST_F(CallTest, AnEmptyBatchIsForTheServerToRefuse) {
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    return Fail(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT",
                "counters: at least one");
  };
  EXPECT_THAT(client_->BatchCreateCounters({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(CallTest, AnErrorInALaterPartTellsWhatWasDone) {
  LimitBatches(200);
  int calls = 0;
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    if (++calls < 3) return grpc::Status::OK;
    return Fail(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT",
                "counters[7].name: bad", "counters[7].name");
  };
  const auto created = client_->BatchCreateCounters(CreateBatch(1000));
  EXPECT_THAT(created, StatusIs(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr("counters[407].name"),
                                      HasSubstr("400 of 1000 items"))));
  ASSERT_EQ(FieldViolations(created.status()).size(), 1u);
  EXPECT_EQ(FieldViolations(created.status())[0].field, "counters[407].name");
  EXPECT_EQ(calls, 3);
}

TEST_F(CallTest, AnswersOfResetsAreNotLostToALaterError) {
  LimitBatches(150);
  int calls = 0;
  server_.counters.on_BatchResetCounters = [&](const auto& request,
                                               auto* response) {
    if (++calls == 3) return Fail(grpc::StatusCode::NOT_FOUND, "R", "gone");
    for (const std::string& name : request.names()) {
      response->add_counters()->set_name(name);
    }
    if (calls == 2) {
      response->mutable_counters()->RemoveLast();
      response->add_failures()->set_index(149);
    }
    return grpc::Status::OK;
  };
  v1::BatchResetCountersRequest request;
  for (int i = 0; i < 400; ++i) request.add_names("c" + std::to_string(i));
  const auto reset = client_->BatchResetCounters(request);
  ASSERT_OK(reset);
  EXPECT_EQ(reset->counters_size(), 299);
  ASSERT_EQ(reset->failures_size(), 101);
  EXPECT_EQ(reset->failures(0).index(), 299u);
  EXPECT_EQ(reset->failures(1).index(), 300u);
  EXPECT_EQ(reset->failures(1).name(), "c300");
  EXPECT_EQ(reset->failures(100).index(), 399u);
  EXPECT_EQ(reset->failures(1).status().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(reset->failures(1).status().details_size(), 1);
}

TEST_F(CallTest, DeletesGoInPartsThatHaveTheirOwnTimeout) {
  LimitBatches(65'536);
  std::vector<int> parts;
  server_.counters.on_BatchDeleteCounters = [&](const auto& request,
                                                auto* response) {
    parts.push_back(request.names_size());
    environment_->Sleep(absl::Seconds(6), nullptr);
    for (const std::string& name : request.names()) {
      response->add_counters()->set_name(name);
    }
    return grpc::Status::OK;
  };
  v1::BatchDeleteCountersRequest request;
  for (int i = 0; i < 4500; ++i) request.add_names("c" + std::to_string(i));
  std::vector<size_t> progress;
  const auto deleted = client_->BatchDeleteCounters(
      request, {.timeout = absl::Seconds(10)},
      [&](size_t done, size_t) { progress.push_back(done); });
  ASSERT_OK(deleted);
  EXPECT_EQ(deleted->counters_size(), 4500);
  EXPECT_EQ(deleted->failures_size(), 0);
  EXPECT_THAT(parts, ElementsAre(2000, 2000, 500));
  EXPECT_THAT(progress, ElementsAre(2000, 4000, 4500));
}

TEST_F(CallTest, ABatchThatIsAllOrNoneIsNotSplitWithoutNeed) {
  LimitBatches(65'536);
  std::vector<int> parts;
  server_.counters.on_BatchCreateCounters = [&](const auto& request, auto*) {
    parts.push_back(request.counters_size());
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(4500)));
  EXPECT_THAT(parts, ElementsAre(4500));
}

TEST_F(CallTest, HealthOfTheServerAndItsServices) {
  server_.server().GetHealthCheckService()->SetServingStatus("sick", false);
  EXPECT_THAT(client_->CheckHealth(),
              ::nfmeter::testing::IsOkAndHolds(Health::kServing));
  EXPECT_THAT(client_->CheckHealth("sick"),
              ::nfmeter::testing::IsOkAndHolds(Health::kNotServing));
  EXPECT_THAT(client_->CheckHealth("unheard.of"),
              ::nfmeter::testing::IsOkAndHolds(Health::kUnknownService));
}

void Write(grpc::ServerWriter<v1::GetSnapshotResponse>& writer, int index,
           bool last) {
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame& frame = *response.mutable_frame();
  frame.set_chunk_index(index);
  frame.set_last_chunk(last);
  frame.set_complete(last);
  frame.set_expected_count(last ? index + 1 : 0);
  frame.mutable_columns()->add_ids(index);
  frame.mutable_columns()->add_packets(index);
  frame.mutable_columns()->add_bytes(index);
  frame.mutable_columns()->set_new_names(absl::StrCat("c", index, "\n"));
  writer.Write(response);
}

TEST_F(CallTest, SnapshotsAreCollectedFromTheirChunks) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto& request,
                                        auto& writer) {
    EXPECT_EQ(request.view(), v1::SNAPSHOT_VIEW_COLUMNS);
    for (int i = 0; i < 3; ++i) Write(writer, i, i == 2);
    return grpc::Status::OK;
  };
  auto snapshot = client_->GetSnapshot();
  ASSERT_OK(snapshot);
  const Snapshot copy = *snapshot;
  snapshot = absl::CancelledError();  // names live on in the copy
  EXPECT_THAT(copy.names, ElementsAre("c0", "c1", "c2"));
  EXPECT_TRUE(copy.complete);
}

TEST_F(CallTest, ASnapshotThatEndsEarlyIsNotOne) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto&, auto& writer) {
    Write(writer, 0, false);
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->GetSnapshot(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(CallTest, ASnapshotThatBreaksIsReadAgainFromTheStart) {
  int calls = 0;
  server_.snapshots.on_GetSnapshot = [&](auto&, const auto&, auto& writer) {
    Write(writer, 0, false);
    if (++calls == 1) return kUnavailable;
    Write(writer, 1, true);
    return grpc::Status::OK;
  };
  const auto snapshot = client_->GetSnapshot();
  ASSERT_OK(snapshot);
  EXPECT_THAT(snapshot->names, ElementsAre("c0", "c1"));
}

TEST_F(CallTest, ABrokenChunkEndsTheStream) {
  server_.snapshots.on_GetSnapshot = [](auto& context, const auto&,
                                        auto& writer) {
    Write(writer, 5, false);
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->GetSnapshot(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 5")));
}

TEST_F(CallTest, RowsOfASnapshotAreOneMessage) {
  server_.snapshots.on_GetSnapshot = [](auto&, const auto& request,
                                        auto& writer) {
    EXPECT_EQ(request.view(), v1::SNAPSHOT_VIEW_ROWS);
    for (int i = 0; i < 3; ++i) {
      v1::GetSnapshotResponse response;
      v1::SnapshotFrame& frame = *response.mutable_frame();
      frame.set_epoch(7);
      frame.set_sequence(1);
      frame.set_restarted(i == 1);
      frame.set_chunk_index(i == 2 ? 1 : 0);
      frame.set_last_chunk(i == 2);
      frame.set_complete(i == 2);
      frame.set_expected_count(i == 2 ? 2 : 0);
      frame.add_counters()->set_name(absl::StrCat("c", i));
      writer.Write(response);
    }
    return grpc::Status::OK;
  };
  const auto frame = client_->GetSnapshotRows();
  ASSERT_OK(frame);
  ASSERT_EQ(frame->counters_size(), 2);
  EXPECT_EQ(frame->counters(0).name(), "c1");
  EXPECT_TRUE(frame->complete());
}

TEST(ConnectTest, TheAddressComesFromTheEnvironmentWhenNoneIsGiven) {
  setenv(kAddressVariable, "unix:/from/environment", 1);
  EXPECT_EQ((*Client::Connect())->address(), "unix:/from/environment");
  EXPECT_EQ((*Client::Connect({.address = "/given"}))->address(),
            "unix:/given");
  unsetenv(kAddressVariable);
  EXPECT_EQ((*Client::Connect())->address(), kDefaultAddress);
  EXPECT_THAT(Client::Connect({.address = "10.0.0.1:1"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TLS")));
}

}  // namespace
}  // namespace nfmeter
