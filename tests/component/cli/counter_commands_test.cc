// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter counter ...
#include "absl/strings/str_cat.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class CounterCommandsTest : public CliTest {
 protected:
  CounterCommandsTest() {
    server_.counters.on_CreateCounter = [this](const auto& request,
                                               auto* response) {
      create_ = request;
      *response->mutable_counter() = request.counter();
      return grpc::Status::OK;
    };
    server_.counters.on_BatchCreateCounters = [this](const auto& request,
                                                     auto* response) {
      batch_create_ = request;
      *response->mutable_counters() = request.counters();
      return grpc::Status::OK;
    };
  }

  static void Fill(const std::string& name, v1::Counter* counter) {
    counter->set_name(name);
    counter->set_packets(12);
    counter->set_bytes(3456);
  }

  v1::CreateCounterRequest create_;
  v1::BatchCreateCountersRequest batch_create_;
};

TEST_F(CounterCommandsTest, CreateMakesOneCounter) {
  const RunResult result = Nfmeter({"counter", "create", "http-traffic"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "Created counter http-traffic.\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(create_.counter().name(), "http-traffic");
  EXPECT_FALSE(create_.counter().has_quota());
  EXPECT_FALSE(create_.validate_only());
}

TEST_F(CounterCommandsTest, CreateTakesQuotasLabelsAndStartingValues) {
  const RunResult result = Nfmeter(
      {"counter", "create", "a", "b", "--quota-bytes", "10GiB", "--label",
       "tenant=acme", "-l", "role=a=b", "--start-packets", "10M",
       "--start-bytes=1.5GB", "--validate-only", "--request-id", "r1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "2 counters could be created; nothing was changed.\n");
  ASSERT_EQ(batch_create_.counters_size(), 2);
  for (const v1::Counter& counter : batch_create_.counters()) {
    EXPECT_EQ(counter.quota().bytes(), uint64_t{10} << 30);
    EXPECT_EQ(counter.packets(), 10'000'000u);
    EXPECT_EQ(counter.bytes(), 1'500'000'000u);
    EXPECT_THAT(counter.labels(), UnorderedElementsAre(Pair("tenant", "acme"),
                                                       Pair("role", "a=b")));
  }
  EXPECT_EQ(batch_create_.counters(1).name(), "b");
  EXPECT_TRUE(batch_create_.validate_only());
  EXPECT_EQ(batch_create_.request_id(), "r1");
}

TEST_F(CounterCommandsTest, CreateReadsNamesAndJson) {
  EXPECT_EQ(Nfmeter({"counter", "create", "--from", "-"}, "a\nb\n\nc").out,
            "Created 3 counters.\n");
  EXPECT_EQ(batch_create_.counters(2).name(), "c");
  const std::string file =
      WriteFile("c.json", R"([{"name":"x","packets":"7"},{"name":"y"}])");
  EXPECT_EQ(
      Nfmeter({"counter", "create", "--from", file, "-l", "k=v", "-o", "name"})
          .out,
      "x\ny\n");
  EXPECT_EQ(batch_create_.counters(0).packets(), 7u);
  EXPECT_EQ(batch_create_.counters(1).labels().at("k"), "v");
}

TEST_F(CounterCommandsTest, CreateRefusesWhatItCannotUnderstand) {
  const std::vector<std::vector<std::string>> cases = {
      {"counter", "create"},
      {"counter", "create", "a", "--quota-bytes", "lots"},
      {"counter", "create", "a", "--quota-bytes", "1", "--quota-packets", "1"},
      {"counter", "create", "a", "--label", "x"},
      {"counter", "create", "a", "--label", "x=1", "--label", "x=2"},
      {"counter", "create", "a", "--from", "-"},
      {"counter", "create", "--from", "-"},  // below: not JSON
      {"counter", "create", "a", "--nonsense"},
  };
  for (const auto& arguments : cases) {
    const RunResult result = Nfmeter(arguments, R"([{"nam":"x"}])");
    EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
    EXPECT_THAT(result.err, StartsWith("nfmeter: "));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(Nfmeter({"counter", "create", "--from", "/nowhere"}).exit_code, 2);
  EXPECT_EQ(create_.counter().name(), "");
  EXPECT_EQ(batch_create_.counters_size(), 0);
}

TEST_F(CounterCommandsTest, GetAsksForOneOrForABatch) {
  v1::BatchGetCountersRequest batch;
  server_.counters.on_GetCounter = [](const auto& request, auto* response) {
    Fill(request.name(), response->mutable_counter());
    return grpc::Status::OK;
  };
  server_.counters.on_BatchGetCounters = [&](const auto& request,
                                             auto* response) {
    batch = request;
    for (const auto& name : request.names()) {
      Fill(name, response->add_counters());
    }
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"counter", "get", "a"}).out,
            "NAME  PACKETS     BYTES  QUOTA  HELD BY\n"
            "a          12  3.38 KiB  -            0\n");
  const auto one = Json<v1::GetCounterResponse>(
      Nfmeter({"counter", "get", "a", "-o", "json"}).out);
  EXPECT_EQ(one.counter().packets(), 12u);
  const auto many = Json<v1::BatchGetCountersResponse>(
      Nfmeter({"-o", "json", "counter", "get", "x", "-", "--max-staleness",
               "1500ms"},
              "b\nc\n")
          .out);
  EXPECT_EQ(many.counters_size(), 3);
  EXPECT_THAT(batch.names(), ElementsAre("x", "b", "c"));
  EXPECT_EQ(batch.max_staleness().seconds(), 1);
  EXPECT_EQ(batch.max_staleness().nanos(), 500'000'000);
}

TEST_F(CounterCommandsTest, NamesThatAreVerbsAreStillNames) {
  server_.counters.on_BatchGetCounters = [](const auto& request,
                                            auto* response) {
    for (const auto& name : request.names()) {
      Fill(name, response->add_counters());
    }
    return grpc::Status::OK;
  };
  EXPECT_EQ(
      Nfmeter({"counter", "get", "get", "rule", "list", "-o", "name"}).out,
      "get\nrule\nlist\n");
}

TEST_F(CounterCommandsTest, NothingOnStandardInputIsNothingToDo) {
  for (const char* verb : {"get", "reset", "delete"}) {
    const RunResult result = Nfmeter({"counter", verb, "-"}, "\n\n");
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("nothing to do"));
  }
}

class ListTest : public CounterCommandsTest {
 protected:
  ListTest() {
    server_.counters.on_ListCounters = [this](const auto& request,
                                              auto* response) {
      list_ = request;
      if (request.filter().name_glob() == "none*") return grpc::Status::OK;
      // Two pages.
      if (request.page_token().empty()) {
        Fill("a", response->add_counters());
        response->set_next_page_token("2");
      } else {
        Fill("b", response->add_counters());
        response->mutable_counters(0)->mutable_quota()->set_packets(10);
        response->mutable_counters(0)->mutable_quota()->set_exceeded(true);
      }
      response->set_total_size(2);
      return grpc::Status::OK;
    };
  }
  v1::ListCountersRequest list_;
};

TEST_F(ListTest, PrintsAllPagesInEveryFormat) {
  EXPECT_EQ(Nfmeter({"counter", "list"}).out,
            "NAME  PACKETS     BYTES  QUOTA                 HELD BY\n"
            "a          12  3.38 KiB  -                           0\n"
            "b          12  3.38 KiB  10 packets, exceeded        0\n");
  EXPECT_EQ(Nfmeter({"counter", "list", "-o", "name"}).out, "a\nb\n");
  EXPECT_EQ(Nfmeter({"counter", "list", "-o", "csv"}).out,
            "name,packets,bytes,quota,quota_unit,quota_exceeded,use_count,"
            "total_packets,total_bytes,start_time,labels,read_time,managed,"
            "description\n"
            "a,12,3456,,,false,0,0,0,,,,false,\n"
            "b,12,3456,10,packets,true,0,0,0,,,,false,\n");
  EXPECT_THAT(
      Nfmeter({"counter", "list", "-o", "wide"}).out,
      StartsWith("NAME  PACKETS  BYTES  QUOTA                 HELD BY  "
                 "TOTAL PACKETS  TOTAL BYTES  SURE SINCE  MANAGED  LABELS  "
                 "READ AT  DESCRIPTION\n"
                 "a          12   3456  -                           0"));
  EXPECT_THAT(Nfmeter({"counter", "list", "-o", "yaml"}).out,
              StartsWith("counters:\n  - name: a\n    packets: 12\n"));
  const auto json = Json<v1::ListCountersResponse>(
      Nfmeter({"counter", "list", "-o", "json"}).out);
  EXPECT_EQ(json.counters_size(), 2);
}

TEST_F(ListTest, SendsGlobAndLabels) {
  Nfmeter({"counter", "list", "http*", "--label", "a=1", "--label", "b=", "-l",
           "c!=2"});
  EXPECT_EQ(list_.filter().name_glob(), "http*");
  EXPECT_THAT(list_.filter().labels(),
              UnorderedElementsAre(Pair("a", "1"), Pair("b", "")));
  EXPECT_THAT(list_.filter().not_labels(), ElementsAre(Pair("c", "2")));
  EXPECT_FALSE(list_.filter().managed_only());
  Nfmeter({"counter", "list", "--managed"});
  EXPECT_TRUE(list_.filter().managed_only());
}

TEST_F(ListTest, AnEmptyListIsSaidToPeopleOnly) {
  RunResult result = Nfmeter({"counter", "list", "none*"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "no counter matches\n");
  result = Nfmeter({"counter", "list", "none*", "-o", "csv"});
  EXPECT_THAT(result.out, StartsWith("name,packets"));
  EXPECT_EQ(result.err, "");
  result = Nfmeter({"counter", "list", "none*", "-o", "json"});
  EXPECT_EQ(Json<v1::ListCountersResponse>(result.out).counters_size(), 0);
}

TEST_F(ListTest, ColoursAreForTerminals) {
  EXPECT_THAT(Nfmeter({"counter", "list"}).out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Nfmeter({"counter", "list", "--color", "always"}).out,
              HasSubstr("\x1b[1mNAME\x1b[0m"));
  EXPECT_THAT(
      Nfmeter({"counter", "list", "--color", "always", "--no-color"}).out,
      Not(HasSubstr("\x1b")));
  EXPECT_THAT(OnTerminal("$NFMETER counter list").out,
              HasSubstr("\x1b[1mNAME\x1b[0m"));
  EXPECT_THAT(OnTerminal("$NFMETER counter list", "NO_COLOR=1").out,
              Not(HasSubstr("\x1b")));
  EXPECT_THAT(OnTerminal("$NFMETER counter list", "TERM=dumb").out,
              Not(HasSubstr("\x1b")));
}

TEST_F(CounterCommandsTest, ResetPrintsTheLastValues) {
  v1::ResetCounterRequest one;
  server_.counters.on_ResetCounter = [&](const auto& request, auto* response) {
    one = request;
    Fill(request.name(), response->mutable_counter());
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"counter", "reset", "http-traffic"}).out,
            "Reset 1 counter. Last values:\n"
            "NAME          PACKETS     BYTES  QUOTA  HELD BY\n"
            "http-traffic       12  3.38 KiB  -            0\n");
  EXPECT_THAT(one.request_id(), Not(IsEmpty()));  // the SDK's
  Nfmeter({"counter", "reset", "a", "--etag", "e", "--request-id", "r"});
  EXPECT_EQ(one.etag(), "e");
  EXPECT_EQ(one.request_id(), "r");
  EXPECT_EQ(Nfmeter({"counter", "reset", "a", "b", "--etag", "e"}).exit_code,
            2);
}

TEST_F(ListTest, NamesMayBeGlobs) {
  v1::BatchGetCountersRequest batch;
  server_.counters.on_BatchGetCounters = [&](const auto& request, auto*) {
    batch = request;
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"counter", "get", "*", "x", "a"}).exit_code, 0);
  EXPECT_EQ(list_.filter().name_glob(), "*");
  // Each once, and first those that were named.
  EXPECT_THAT(batch.names(), ElementsAre("x", "a", "b"));
  server_.counters.on_ListCounters = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  const RunResult none = Nfmeter({"counter", "reset", "no*"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_EQ(none.err, "nfmeter: no counter matches 'no*'\n");
}

TEST_F(ListTest, NamesBeyondAsciiAreWrittenAsTheyAreShown) {
  std::string asked;
  server_.counters.on_GetCounter = [&](const auto& request, auto* response) {
    asked = request.name();
    Fill(asked, response->mutable_counter());
    return grpc::Status::OK;
  };
  for (const char* name : {"caf\xc3\xa9", "caf\\xc3\\xa9"}) {
    EXPECT_THAT(Nfmeter({"counter", "get", name}).out,
                HasSubstr("caf\\xc3\\xa9"));
    EXPECT_EQ(asked, "caf\\xc3\\xa9");
  }
}

TEST_F(ListTest, ManagedLeavesOutWhatOthersMade) {
  v1::BatchDeleteCountersRequest batch;
  server_.counters.on_BatchDeleteCounters = [&](const auto& request, auto*) {
    batch = request;
    return grpc::Status::OK;
  };
  const RunResult result =
      Nfmeter({"counter", "delete", "-", "--managed"}, "a\nforeign\nb\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(list_.filter().managed_only());
  EXPECT_THAT(batch.names(), ElementsAre("a", "b"));
  EXPECT_EQ(result.err,
            "left out 'foreign', which was not made through nfmeter\n");
}

TEST_F(CounterCommandsTest, FailuresOfABatchAreListedAfterWhatWasDone) {
  server_.counters.on_BatchResetCounters = [](const auto& request,
                                              auto* response) {
    Fill(request.names(0), response->add_counters());
    auto* failure = response->add_failures();
    failure->set_index(1);
    failure->set_name(request.names(1));
    failure->mutable_status()->set_code(grpc::StatusCode::NOT_FOUND);
    failure->mutable_status()->set_message("it went away");
    return grpc::Status::OK;
  };
  const RunResult result = Nfmeter({"counter", "reset", "a", "b", "-o", "csv"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("a,12,3456"));
  EXPECT_EQ(result.err,
            "  b: it went away\n"
            "nfmeter: 1 of 2 counters could not be reset, as listed above\n");
}

// What `counter update` sends, of a counter with labels.
class UpdateTest : public CliTest {
 protected:
  UpdateTest() {
    server_.counters.on_GetCounter = [this](const auto& request,
                                            auto* response) {
      ++reads_;
      response->mutable_counter()->set_name(request.name());
      response->mutable_counter()->set_etag(absl::StrCat("etag-", reads_));
      (*response->mutable_counter()->mutable_labels())["kept"] = "1";
      (*response->mutable_counter()->mutable_labels())["old"] = "2";
      return grpc::Status::OK;
    };
    server_.counters.on_UpdateCounter = [this](const auto& request,
                                               auto* response) {
      update_ = request;
      if (conflicts_-- > 0) {
        return Error(grpc::StatusCode::ABORTED, "it changed", {},
                     "ETAG_MISMATCH");
      }
      *response->mutable_counter() = request.counter();
      return grpc::Status::OK;
    };
  }
  std::vector<std::string> Mask() const {
    return {update_.update_mask().paths().begin(),
            update_.update_mask().paths().end()};
  }

  int reads_ = 0;
  int conflicts_ = 0;
  v1::UpdateCounterRequest update_;
};

TEST_F(UpdateTest, SendsWhatTheFlagsNameAndNothingElse) {
  RunResult result =
      Nfmeter({"counter", "update", "web", "--quota-bytes", "20GiB"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("Updated 1 counter:\n"));
  EXPECT_THAT(Mask(), ElementsAre("quota"));
  EXPECT_EQ(update_.counter().quota().bytes(), uint64_t{20} << 30);
  EXPECT_EQ(reads_, 0);
  Nfmeter({"counter", "update", "web", "--no-quota", "--description",
           "paid in advance", "--validate-only", "--request-id", "r"});
  EXPECT_THAT(Mask(), ElementsAre("description", "quota"));
  EXPECT_FALSE(update_.counter().has_quota());
  EXPECT_EQ(update_.counter().description(), "paid in advance");
  EXPECT_TRUE(update_.validate_only());
  EXPECT_EQ(update_.request_id(), "r");
}

TEST_F(UpdateTest, LabelsThatAreNotNamedStayAlsoIfSomebodyElseChangesThem) {
  conflicts_ = 2;
  const RunResult result = Nfmeter({"counter", "update", "web", "--label",
                                    "new=3", "--remove-label", "old"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(update_.counter().labels(),
              UnorderedElementsAre(Pair("kept", "1"), Pair("new", "3")));
  EXPECT_EQ(update_.counter().etag(), "etag-3");
  EXPECT_EQ(reads_, 3);
  conflicts_ = 1;
  EXPECT_NE(
      Nfmeter({"counter", "update", "web", "--label", "a=b", "--etag", "mine"})
          .exit_code,
      0);
  EXPECT_EQ(update_.counter().etag(), "mine");
}

TEST_F(UpdateTest, RefusesWhatMeansNothing) {
  const std::vector<std::vector<std::string>> cases = {
      {"counter", "update"},
      {"counter", "update", "web"},
      {"counter", "update", "web", "--no-quota", "--quota-bytes", "1"},
      {"counter", "update", "a", "b", "--no-quota", "--etag", "x"},
      {"counter", "update", "a", "b", "--no-quota", "--request-id", "x"},
  };
  for (const auto& arguments : cases) {
    EXPECT_EQ(Nfmeter(arguments).exit_code, 2);
  }
  EXPECT_EQ(update_.counter().name(), "");
}

TEST_F(CounterCommandsTest, DeleteCanTakeTheRulesWithIt) {
  v1::DeleteCounterRequest one;
  v1::BatchDeleteCountersRequest many;
  server_.counters.on_DeleteCounter = [&](const auto& request, auto* response) {
    one = request;
    Fill(request.name(), response->mutable_counter());
    return grpc::Status::OK;
  };
  server_.counters.on_BatchDeleteCounters = [&](const auto& request,
                                                auto* response) {
    many = request;
    for (const auto& name : request.names()) {
      Fill(name, response->add_counters());
    }
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"counter", "delete", "a", "--with-rules"}).out,
              StartsWith("Deleted 1 counter. Last values:\nNAME"));
  EXPECT_TRUE(one.delete_managed_rules());
  EXPECT_EQ(Nfmeter({"counter", "delete", "-", "-o", "name"}, "a\nb\n").out,
            "a\nb\n");
  EXPECT_THAT(many.names(), ElementsAre("a", "b"));
  EXPECT_FALSE(many.delete_managed_rules());
}

}  // namespace
}  // namespace nfmeter::testing
