// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter usage: reports, plots, gaps, consumers, and collecting.
#include <stdlib.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/component/cli/cli_fixture.h"
#include "tests/support/read_file.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CliTest;
using ::nfmeter::testing::FakeUsageService;
using ::nfmeter::testing::RunResult;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int64_t kNovember = 1'793'491'200;  // 2026-11-01T00:00:00Z
constexpr int64_t kDay = 86'400;

class UsageCommandsTest : public CliTest {
 protected:
  UsageCommandsTest() { setenv("LC_ALL", "C", 1); }

  // Two tenants on the first two days of November; a gap on the second.
  void ServeNovember() {
    server_.usage.on_ListUsage = [this](const auto& request, auto* response) {
      request_ = request;
      for (int day = 0; day < 2; ++day) {
        for (const char* tenant : {"acme", "beta"}) {
          v1::UsageRow& row = *response->add_rows();
          row.mutable_start_time()->set_seconds(kNovember + day * kDay);
          row.mutable_end_time()->set_seconds(kNovember + (day + 1) * kDay);
          (*row.mutable_labels())["tenant"] = tenant;
          row.set_packets(1000 * (day + 1));
          row.set_bytes(tenant[0] == 'a' ? 4 << 20 : 1 << 20);
          row.set_p95_bytes_per_second(2048);
          row.set_peak_bytes_per_second(4096);
          row.set_five_minutes_known(true);
          row.set_at_least(day == 1 && tenant[0] == 'a');
        }
      }
      return grpc::Status::OK;
    };
    server_.usage.on_ListGaps = [](const auto&, auto* response) {
      v1::UsageGap& gap = *response->add_gaps();
      gap.set_cause(v1::USAGE_GAP_CAUSE_REBOOT);
      gap.mutable_start_time()->set_seconds(kNovember + kDay);
      gap.mutable_end_time()->set_seconds(kNovember + kDay + 60);
      v1::UsageGap& reset = *response->add_gaps();
      reset.set_counter_id(7);
      reset.set_counter("web");
      reset.set_cause(v1::USAGE_GAP_CAUSE_FOREIGN_RESET);
      reset.mutable_end_time()->set_seconds(kNovember + kDay);
      reset.set_bounded(true);
      reset.set_max_packets(3);
      reset.set_max_bytes(300);
      return grpc::Status::OK;
    };
  }
  RunResult Report(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "usage", "report",     "--since", "2026-11",     "--every",
        "1d",    "--group-by", "tenant",  "--time-zone", "Etc/UTC"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Nfmeter(arguments);
  }

  v1::ListUsageRequest request_;
};

TEST_F(UsageCommandsTest, NothingOfATimeThatGoesOnMayBeNothingYet) {
  server_.usage.on_ListUsage = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  const std::string nothing = "nothing was counted in this time";
  EXPECT_THAT(Nfmeter({"usage", "report"}).err,
              HasSubstr(nothing + "; what the last seconds have counted comes "
                                  "with the server's next record\n"));
  EXPECT_THAT(Nfmeter({"usage", "plot", "wbe"}).err, HasSubstr(nothing));
  EXPECT_THAT(Nfmeter({"usage", "report", "--since", "2025-11"}).err,
              HasSubstr(nothing + "\n"));
}

TEST_F(UsageCommandsTest, AReportIsATableWithAFootnoteWhereSomethingIsMissing) {
  ServeNovember();
  const RunResult run = Report({});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(request_.start_time().seconds(), kNovember);
  EXPECT_EQ(request_.end_time().seconds(), kNovember + 30 * kDay);
  EXPECT_EQ(request_.bucket(), v1::USAGE_BUCKET_DAY);
  EXPECT_EQ(request_.time_zone(), "Etc/UTC");
  EXPECT_THAT(request_.group_by_labels(), ElementsAre("tenant"));
  EXPECT_FALSE(request_.group_by_counter());
  EXPECT_EQ(run.out,
            "TIME        TENANT  PACKETS        BYTES        95TH        PEAK\n"
            "2026-11-01  acme       1000     4.00 MiB  2.00 KiB/s  4.00 KiB/s\n"
            "2026-11-01  beta       1000     1.00 MiB  2.00 KiB/s  4.00 KiB/s\n"
            "2026-11-02  acme       2000  >= 4.00 MiB  2.00 KiB/s  4.00 KiB/s\n"
            "2026-11-02  beta       2000     1.00 MiB  2.00 KiB/s  4.00 KiB/s"
            "\n");
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("from 2026-11-01 through 2026-11-30 (Etc/UTC)"),
                    HasSubstr(">= at least so much: something may be missing, "
                              "as the machine restarted; somebody else reset "
                              "a counter"),
                    HasSubstr("nfmeter usage gaps")));
}

TEST_F(UsageCommandsTest, CsvAndJsonHaveEverythingAndNoSentences) {
  ServeNovember();
  const RunResult csv = Report({"-o", "csv"});
  EXPECT_THAT(csv.out,
              StartsWith("start_time,end_time,label_tenant,packets,bytes,"
                         "p95_bytes_per_second,peak_bytes_per_second,"
                         "p95_packets_per_second,peak_packets_per_second,"
                         "at_least\n"
                         "2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,acme,1000,"
                         "4194304,2048,4096,0,0,false\n"));
  EXPECT_THAT(csv.out, HasSubstr(",true\n"));
  EXPECT_THAT(csv.err, IsEmpty());
  const RunResult json = Report({"-o", "json"});
  EXPECT_EQ(Json<v1::ListUsageResponse>(json.out).rows_size(), 4);
  EXPECT_THAT(json.err, IsEmpty());
}

TEST_F(UsageCommandsTest, OnATerminalThereAreBars) {
  ServeNovember();
  const std::string line =
      "$NFMETER usage report --since 2026-11 --group-by tenant --every 1d "
      "--no-color";
  const RunResult unicode = OnTerminal(line, "LC_ALL=C.UTF-8");
  EXPECT_THAT(unicode.out, AllOf(HasSubstr("████████████████████"),
                                 HasSubstr("█████\r\n"), HasSubstr("≥ 4.00")));
  const RunResult plain = OnTerminal(line, "LC_ALL= LANG=C");
  EXPECT_THAT(plain.out,
              AllOf(HasSubstr("####################"), HasSubstr(" #####\r\n"),
                    HasSubstr(">= 4.00"), Not(HasSubstr("█"))));
}

TEST_F(UsageCommandsTest, TimesThatMakeNoSenseAreNamed) {
  ServeNovember();
  const auto error = [&](const std::vector<std::string>& times) {
    std::vector<std::string> arguments = {"usage", "report"};
    arguments.insert(arguments.end(), times.begin(), times.end());
    const RunResult run = Nfmeter(arguments);
    EXPECT_EQ(run.exit_code, 2);
    return run.err;
  };
  EXPECT_THAT(
      error({"--since", "soon"}),
      AllOf(HasSubstr("--since: 'soon' is no time"), HasSubstr("yesterday")));
  EXPECT_THAT(error({"--since", "2026-11-05", "--until", "2026-11-01"}),
              HasSubstr("--since 2026-11-05 is not before --until 2026-11-01"));
  EXPECT_THAT(error({"--since", "2999"}), HasSubstr("in the future"));
  EXPECT_THAT(error({"--since", "2026-13"}), HasSubstr("is no time"));
  EXPECT_THAT(error({"--time-zone", "Mars/Olympus"}),
              HasSubstr("'Mars/Olympus' is no time zone"));
}

TEST_F(UsageCommandsTest, APlotIsDrawnAlsoWithPlainCharacters) {
  ServeNovember();
  const RunResult plain = Shell(
      "LC_ALL= LANG=C $NFMETER usage plot --since 2026-11-01 --until "
      "2026-11-04 --height 4 --time-zone UTC");
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_THAT(plain.out, AllOf(HasSubstr("|####"), HasSubstr("0 B/s +----"),
                               HasSubstr("2026-11-01"), HasSubstr("2026-11-05"),
                               HasSubstr("^^^")));
  EXPECT_THAT(plain.err, HasSubstr("^ at least so much"));
  const RunResult unicode = Shell(
      "LC_ALL=C.UTF-8 $NFMETER usage plot --since 2026-11-01 --until "
      "2026-11-04 --height 4 --time-zone UTC");
  EXPECT_THAT(unicode.out,
              AllOf(HasSubstr("│████"), HasSubstr("└────"), HasSubstr("≥≥≥")));
}

TEST_F(UsageCommandsTest, GapsSayWhatHappened) {
  ServeNovember();
  const RunResult table = Nfmeter({"usage", "gaps"});
  EXPECT_THAT(table.out,
              AllOf(HasSubstr("(all)"), HasSubstr("REBOOT"),
                    HasSubstr("2026-11-02 00:00:00  2026-11-02 00:01:00"),
                    HasSubstr("the machine restarted"), HasSubstr("web"),
                    HasSubstr("unknown"), HasSubstr("300 B")));
  const RunResult csv = Nfmeter({"usage", "gaps", "-o", "csv"});
  EXPECT_EQ(csv.out,
            "counter,cause,start_time,end_time,max_bytes,max_packets\n"
            ",REBOOT,2026-11-02T00:00:00Z,2026-11-02T00:01:00Z,,\n"
            "web,FOREIGN_RESET,,2026-11-02T00:00:00Z,300,3\n");
}

TEST_F(UsageCommandsTest, WhatHasNoNamesRefusesToPrintThem) {
  ServeNovember();
  for (const auto& [noun, verb] : {std::pair("usage", "report"),
                                   {"usage", "plot"},
                                   {"usage", "gaps"},
                                   {"flow", "top"},
                                   {"flow", "watch"}}) {
    const RunResult refused = Nfmeter({noun, verb, "-o", "name"});
    EXPECT_EQ(refused.exit_code, 2) << verb;
    EXPECT_EQ(refused.out, "");
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr("-o name: "), HasSubstr(" have no names\n"),
                      HasSubstr("hint: -o csv")));
  }
}

TEST_F(UsageCommandsTest, ConsumersAreListedAndDeleted) {
  server_.usage.on_ListConsumers = [](const auto&, auto* response) {
    v1::UsageConsumer& consumer = *response->add_consumers();
    consumer.set_name("billing");
    consumer.set_owner("socket:/run/nfmeter.sock");
    consumer.set_lag(12);
    consumer.set_connected(true);
    return grpc::Status::OK;
  };
  std::vector<std::string> deleted;
  server_.usage.on_DeleteConsumer = [&](const auto& request, auto*) {
    deleted.push_back(request.name());
    return request.name() == "old"
               ? grpc::Status::OK
               : Error(grpc::StatusCode::NOT_FOUND, "there is no consumer", {},
                       "CONSUMER_NOT_FOUND");
  };
  EXPECT_THAT(Nfmeter({"usage", "consumers"}).out,
              AllOf(HasSubstr("billing"), HasSubstr("12 records"),
                    HasSubstr("never"), HasSubstr("yes")));
  EXPECT_EQ(Nfmeter({"usage", "consumers", "-o", "name"}).out, "billing\n");
  EXPECT_EQ(Nfmeter({"usage", "delete-consumer", "old"}).out,
            "Deleted consumer old.\n");
  EXPECT_EQ(Nfmeter({"usage", "delete-consumer", "old", "-o", "csv"}).out,
            "name\nold\n");
  const RunResult unknown = Nfmeter({"usage", "delete-consumer", "new"});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("there is no consumer"));
  EXPECT_THAT(deleted, ElementsAre("old", "old", "new"));
}

// --- collect -----------------------------------------------------------------

v1::CollectUsageResponse Record(uint64_t sequence, uint64_t packets,
                                bool full) {
  v1::CollectUsageResponse response;
  v1::UsageRecord& record = *response.mutable_record();
  record.mutable_position()->set_epoch(7);
  record.mutable_position()->set_sequence(sequence);
  record.set_full(full);
  record.set_node_id("node1");
  record.mutable_time()->set_seconds(kNovember);
  if (full) {
    v1::UsageCounter& counter = *record.add_counters();
    counter.set_id(3);
    counter.set_name("web");
    counter.set_generation(1);
    counter.set_state(v1::USAGE_COUNTER_STATE_LIVE);
    (*counter.mutable_labels())["tenant"] = "acme, inc";
  }
  record.add_counter_ids(3);
  record.add_total_packets(packets);
  record.add_total_bytes(packets * 100);
  return response;
}

class CollectCommandTest : public UsageCommandsTest {
 protected:
  // Records 1 to newest_, from where the collector is.
  void SetUp() override {
    server_.usage.on_ListConsumers = [this](const auto&, auto* response) {
      response->mutable_newest()->set_epoch(7);
      response->mutable_newest()->set_sequence(newest_);
      return grpc::Status::OK;
    };
    server_.usage.on_CollectUsage =
        [this](auto&, FakeUsageService::CollectStream& stream) {
          v1::CollectUsageRequest request;
          stream.Read(&request);
          start_ = request.start();
          const bool full = !start_.has_resume_after();
          if (!full && start_.resume_after().epoch() != 7) {
            return Error(grpc::StatusCode::FAILED_PRECONDITION, "another epoch",
                         {}, "POSITION_OF_ANOTHER_EPOCH");
          }
          uint64_t sequence =
              full ? newest_ : start_.resume_after().sequence() + 1;
          stream.Write(Record(sequence, sequence * 10, full));
          while (++sequence <= newest_) {
            stream.Write(Record(sequence, sequence * 10, false));
          }
          while (stream.Read(&request)) {
            acknowledged_ = request.acknowledged().sequence();
          }
          return grpc::Status::OK;
        };
  }
  RunResult Collect(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"usage", "collect", "--consumer",
                                          "billing", "--once"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Nfmeter(arguments);
  }

  uint64_t newest_ = 4;
  uint64_t acknowledged_ = 0;
  v1::CollectUsageStart start_;
};

TEST_F(CollectCommandTest, LinesGoOnFromTheState) {
  const std::string state = folder_ / "state";
  RunResult run = Collect({"--state", state});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(
      run.out,
      R"({"counter":"web","counterId":"3","epoch":"7","generation":1,)"
      R"("id":"node1/7/4/1793491200000000/3","labels":{"tenant":"acme, inc"},)"
      R"("nodeId":"node1","sequence":"4","state":"live",)"
      R"("time":"2026-11-01T00:00:00Z","totalBytes":"4000",)"
      R"("totalPackets":"40","type":"total"})"
      "\n");
  newest_ = 6;
  run = Collect({"--state", state});
  EXPECT_EQ(start_.resume_after().sequence(), 4u);
  EXPECT_THAT(run.out, AllOf(HasSubstr("node1/7/5/1793491200000000/3"),
                             HasSubstr("node1/7/6/1793491200000000/3"),
                             Not(HasSubstr("node1/7/4/1793491200000000/3"))));
  run = Collect({"--state", state});
  EXPECT_THAT(run.out, IsEmpty());
  // The server has heard of it.
  server_.Stop();
  EXPECT_EQ(acknowledged_, 6u);
}

TEST_F(CollectCommandTest, CloudEventsAndCsv) {
  const RunResult events = Collect({"-o", "cloudevents"});
  EXPECT_THAT(events.out,
              AllOf(HasSubstr(R"("specversion":"1.0")"),
                    HasSubstr(R"("id":"node1/7/4/1793491200000000/3")"),
                    HasSubstr(R"("source":"/nfmeter/nodes/node1")"),
                    HasSubstr(R"("type":"io.nfmeter.usage.total.v1")"),
                    HasSubstr(R"("subject":"web")")));
  EXPECT_EQ(Collect({"-o", "csv"}).out,
            "id,time,node_id,epoch,sequence,counter_id,counter,generation,"
            "state,total_packets,total_bytes,labels\n"
            "node1/7/4/1793491200000000/"
            "3,2026-11-01T00:00:00Z,node1,7,4,3,web,1,live,40,4000,"
            "\"tenant=acme, inc\"\n");
}

TEST_F(CollectCommandTest, WhatWasWrittenBeforeAKillComesOnce) {
  const std::string state = folder_ / "state";
  const std::string file = folder_ / "usage.csv";
  const std::vector<std::string> flags = {"--state", state, "--to",
                                          file,      "-o",  "csv"};
  ASSERT_EQ(Collect(flags).exit_code, 0);
  const std::string first = testing::ReadFile(file);
  std::ofstream(file, std::ios::app)
      << "node1/7/5/1793491200000000/3,2026-11-01T00:0";
  newest_ = 5;
  ASSERT_EQ(Collect(flags).exit_code, 0);
  const std::string all = testing::ReadFile(file);
  EXPECT_THAT(all, StartsWith(first));
  // The counter is described on its first mention only; here it was before.
  EXPECT_THAT(
      all.substr(first.size()),
      StartsWith(
          "node1/7/5/1793491200000000/3,2026-11-01T00:00:00Z,node1,7,5,3,"));
}

TEST_F(CollectCommandTest, FilesThatDoNotBelongTogetherAreRefused) {
  const std::string state = folder_ / "state";
  const std::string file = WriteFile("old.csv", "precious\n");
  RunResult run = Collect({"--state", state, "--to", file});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.err, HasSubstr("is there already, but no state"));
  EXPECT_EQ(testing::ReadFile(file), "precious\n");
  EXPECT_EQ(Collect({"--to", file}).exit_code, 2);

  const std::string fresh = folder_ / "fresh.csv";
  ASSERT_EQ(Collect({"--state", state, "--to", fresh}).exit_code, 0);
  WriteFile("fresh.csv", "");
  newest_ = 5;
  run = Collect({"--state", state, "--to", fresh});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.err, HasSubstr("is not there any more"));

  EXPECT_THAT(Nfmeter({"usage", "collect", "--consumer", "other", "--state",
                       state, "--once"})
                  .err,
              HasSubstr("another consumer than 'other'"));
  WriteFile("state", "nonsense");
  run = Collect({"--state", state});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.err, HasSubstr("this is no state of a collector"));
}

TEST_F(CollectCommandTest, ALedgerThatBeganAnewIsToldAndGoneOnWith) {
  const std::string state = WriteFile(
      "state",
      R"({"consumer":"billing","epoch":"5","outputBytes":"0","sequence":"9"})");
  RunResult run = Collect({"--state", state});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.err, HasSubstr("run it again with --start-anew"));
  run = Collect({"--state", state, "--start-anew"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("node1/7/4/1793491200000000/3"));
  EXPECT_THAT(run.err, HasSubstr("began anew"));
}

}  // namespace
}  // namespace nfmeter
