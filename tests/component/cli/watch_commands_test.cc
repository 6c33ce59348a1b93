// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter watch, top, quota watch: streams that print as they come and end
// well; and the small commands node, health, version.
#include <signal.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/component/cli/cli_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Sends one frame a second by boottime, as fast as it goes by the clock: two
// counters, of which the busy one counts 10 packets and 2,048 bytes a frame.
class WatchTest : public CliTest {
 protected:
  WatchTest() {
    server_.snapshots.on_WatchSnapshots = [this](grpc::ServerContext& context,
                                                 const auto& request,
                                                 auto& writer) {
      {
        absl::MutexLock lock(&mutex_);
        request_ = request;
      }
      for (int i = 1; i <= 5; ++i) {
        if (!writer.Write(Frame(i, request.view()))) break;
      }
      WaitForCancellation(context);
      return grpc::Status::CANCELLED;
    };
  }

  static v1::WatchSnapshotsResponse Frame(int i, v1::SnapshotView view) {
    v1::WatchSnapshotsResponse response;
    v1::SnapshotFrame& frame = *response.mutable_frame();
    frame.set_epoch(7);
    frame.set_sequence(static_cast<uint64_t>(i));
    frame.mutable_wall_time()->set_seconds(1'700'000'000 + i);
    frame.mutable_boottime()->set_seconds(100 + i);
    frame.set_complete(true);
    frame.set_full(true);
    frame.set_last_chunk(true);
    frame.set_expected_count(2);
    const uint64_t packets[] = {5, 10u * static_cast<uint64_t>(i)};
    const uint64_t bytes[] = {500, 2048u * static_cast<uint64_t>(i)};
    const char* names[] = {"a-quiet", "busy"};
    for (uint32_t row = 0; row < 2; ++row) {
      if (view == v1::SNAPSHOT_VIEW_ROWS) {
        v1::Counter& counter = *frame.add_counters();
        counter.set_name(names[row]);
        counter.set_packets(packets[row]);
        counter.set_bytes(bytes[row]);
        (*counter.mutable_labels())["k"] = "v";
        continue;
      }
      frame.mutable_columns()->add_ids(row + 1);
      frame.mutable_columns()->add_packets(packets[row]);
      frame.mutable_columns()->add_bytes(bytes[row]);
    }
    if (view != v1::SNAPSHOT_VIEW_ROWS && i == 1) {
      frame.mutable_columns()->set_new_names("a-quiet\nbusy\n");
    }
    return response;
  }

  v1::WatchSnapshotsRequest request() {
    absl::MutexLock lock(&mutex_);
    return request_;
  }

  absl::Mutex mutex_;
  v1::WatchSnapshotsRequest request_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(WatchTest, PrintsBlocksWhenPiped) {
  const RunResult result = Nfmeter({"watch", "http*", "--interval", "250ms",
                                    "--count", "2", "--label", "t=x"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "# 2023-11-14 22:13:21  2 counters, sequence 1\n"
            "NAME     PACKETS     BYTES  PACKETS/S  BYTES/S\n"
            "a-quiet        5     500 B          -        -\n"
            "busy          10  2.00 KiB          -        -\n"
            "\n"
            "# 2023-11-14 22:13:22  2 counters, sequence 2\n"
            "NAME     PACKETS     BYTES  PACKETS/S     BYTES/S\n"
            "a-quiet        5     500 B        0/s       0 B/s\n"
            "busy          20  4.00 KiB     10.0/s  2.00 KiB/s\n");
  EXPECT_EQ(request().filter().name_glob(), "http*");
  EXPECT_EQ(request().filter().labels().at("t"), "x");
  EXPECT_EQ(request().interval().nanos(), 250'000'000);
}

TEST_F(WatchTest, JsonIsOneMessageALine) {
  const RunResult result = Nfmeter({"watch", "--count", "3", "-o", "json"});
  const std::vector<std::string> lines =
      absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(3));
  const auto last = Json<v1::WatchSnapshotsResponse>(lines[2]);
  EXPECT_EQ(last.frame().sequence(), 3u);
  EXPECT_EQ(last.frame().counters(1).packets(), 30u);
  EXPECT_EQ(last.frame().counters(1).labels().at("k"), "v");
  EXPECT_EQ(last.frame().boottime().seconds(), 103);
}

TEST_F(WatchTest, CsvHasItsHeadingsOnce) {
  EXPECT_EQ(Nfmeter({"watch", "--count", "2", "-o", "csv"}).out,
            "time,sequence,name,packets,bytes,new_packets,new_bytes,"
            "packets_per_second,bytes_per_second,quota_exceeded,reset\n"
            "2023-11-14T22:13:21Z,1,a-quiet,5,500,0,0,,,false,false\n"
            "2023-11-14T22:13:21Z,1,busy,10,2048,0,0,,,false,false\n"
            "2023-11-14T22:13:22Z,2,a-quiet,5,500,0,0,0.00,0.00,false,"
            "false\n"
            "2023-11-14T22:13:22Z,2,busy,20,4096,10,2048,10.00,2048.00,"
            "false,false\n");
}

TEST_F(WatchTest, OtherFormats) {
  EXPECT_EQ(Nfmeter({"watch", "-n", "1", "-o", "name"}).out, "a-quiet\nbusy\n");
  EXPECT_THAT(Nfmeter({"watch", "-n", "2", "-o", "yaml"}).out,
              AllOf(StartsWith("---\nframe:\n  epoch: 7\n"),
                    HasSubstr("\n---\nframe:\n")));
  EXPECT_THAT(Nfmeter({"watch", "-n", "2", "-o", "wide"}).out,
              HasSubstr("busy          20   4096              0            0  "
                        "         10       2048      10.00  2048.00\n"));
}

TEST_F(WatchTest, TopSortsByRateAndWaitsForOne) {
  EXPECT_EQ(Nfmeter({"top", "--count", "1", "--limit", "1"}).out,
            "# 2023-11-14 22:13:22  1 of 2 counters, sequence 2\n"
            "NAME  PACKETS     BYTES  PACKETS/S     BYTES/S\n"
            "busy       20  4.00 KiB     10.0/s  2.00 KiB/s\n");
}

TEST_F(WatchTest, RedrawsOnATerminal) {
  const RunResult result = OnTerminal("$NFMETER watch --count 3");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(StartsWith("\x1b[?25l"), HasSubstr("\x1b[6A\r"),
                                ::testing::EndsWith("\x1b[?25h")));
}

TEST_F(WatchTest, ColumnsAreOfTheCountersThatWereChosen) {
  const auto top = [&](const std::string& limit) {
    return Nfmeter({"top", "--count", "1", "--limit", limit, "-o",
                    "custom-columns=NAME:.name"})
        .out;
  };
  EXPECT_EQ(top("1"), "NAME\nbusy\n");
  EXPECT_EQ(top("0"), "NAME\nbusy\na-quiet\n");
}

TEST_F(WatchTest, ATerminalThatKnowsNoEscapesGetsNone) {
  const RunResult result = OnTerminal("$NFMETER watch --count 3", "TERM=dumb");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("# 2023-11-14"), Not(HasSubstr("\x1b"))));
}

// Runs `argv`, a watch, until it has printed the last frame.
class RunningWatch {
 public:
  RunningWatch(const std::vector<std::string>& argv, const std::string& log)
      : log_(log), process_(argv, log) {
    EXPECT_TRUE(
        Eventually([&] { return absl::StrContains(Printed(), "sequence 5"); }));
  }

  Background& process() { return process_; }
  std::string Printed() const { return testing::ReadFile(log_); }

 private:
  const std::string log_;
  Background process_;
};

TEST_F(WatchTest, InterruptsAreANormalEnd) {
  // Whoever runs the tests in the background has it ignored.
  signal(SIGINT, SIG_DFL);
  for (int signal : {SIGINT, SIGTERM}) {
    RunningWatch watch({NFMETER, "--server", server_.address(), "watch"},
                       folder_ / absl::StrCat("log", signal));
    watch.process().Signal(signal);
    EXPECT_EQ(watch.process().Wait(absl::Seconds(10)), 0);
    EXPECT_THAT(watch.Printed(), Not(HasSubstr("nfmeter:")));
  }
}

TEST_F(WatchTest, SignalsThatItWasStartedToIgnoreDoNotEndIt) {
  for (int signal : {SIGHUP, SIGINT}) {
    // As nohup does, and a script with what it starts in the background.
    const std::string line =
        absl::StrCat("trap '' ", signal, "; exec ", NFMETER, " --server ",
                     server_.address(), " watch");
    RunningWatch watch({"bash", "-c", line},
                       folder_ / absl::StrCat("log", signal));
    watch.process().Signal(signal);
    // -1: it had to be killed.
    EXPECT_EQ(watch.process().Wait(absl::Milliseconds(300)), -1) << signal;
  }
}

TEST_F(WatchTest, AReaderThatGoesAwayEndsItQuietly) {
  server_.snapshots.on_WatchSnapshots = [](grpc::ServerContext& context,
                                           const auto& request, auto& writer) {
    for (int i = 1; !context.IsCancelled(); ++i) {
      if (!writer.Write(Frame(i, request.view()))) break;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return grpc::Status::CANCELLED;
  };
  const RunResult result =
      Shell("$NFMETER watch | head -1; exit ${PIPESTATUS[0]}");
  EXPECT_THAT(result.out, StartsWith("# 2023-11-14"));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.exit_code, 128 + SIGPIPE);
}

TEST_F(WatchTest, ALostConnectionIsToldOnStandardError) {
  std::atomic<int> streams = 0;
  server_.snapshots.on_WatchSnapshots = [&](grpc::ServerContext&,
                                            const auto& request, auto& writer) {
    writer.Write(Frame(++streams, request.view()));
    return streams < 2 ? Error(grpc::StatusCode::UNAVAILABLE, "going down")
                       : grpc::Status::OK;
  };
  const RunResult result = Nfmeter({"watch", "-n", "2", "-o", "json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err,
            "nfmeter: connection lost: going down; trying again\n"
            "nfmeter: connected again\n");
  EXPECT_THAT(std::vector<std::string>(
                  absl::StrSplit(result.out, '\n', absl::SkipEmpty())),
              SizeIs(2));
}

TEST_F(WatchTest, AnErrorOfTheServerEndsIt) {
  server_.snapshots.on_WatchSnapshots = [](grpc::ServerContext&, const auto&,
                                           auto&) {
    return Error(grpc::StatusCode::RESOURCE_EXHAUSTED, "100 streams are open.");
  };
  const RunResult result = Nfmeter({"watch"});
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_THAT(result.err, StartsWith("nfmeter: 100 streams are open."));
}

class QuotaTest : public CliTest {
 protected:
  QuotaTest() {
    server_.counters.on_WatchQuotaEvents =
        [](grpc::ServerContext& context, const auto& request, auto& writer) {
          EXPECT_EQ(request.filter().name_glob(), "cap*");
          const v1::QuotaEventKind kinds[] = {v1::QUOTA_EVENT_KIND_STANDING,
                                              v1::QUOTA_EVENT_KIND_SYNCED,
                                              v1::QUOTA_EVENT_KIND_CROSSED};
          for (v1::QuotaEventKind kind : kinds) {
            v1::WatchQuotaEventsResponse event;
            event.set_kind(kind);
            event.mutable_time()->set_seconds(1'700'000'000);
            if (kind != v1::QUOTA_EVENT_KIND_SYNCED) {
              event.mutable_counter()->set_name("cap");
              event.mutable_counter()->set_packets(10);
              event.mutable_counter()->mutable_quota()->set_packets(10);
            }
            writer.Write(event);
          }
          WaitForCancellation(context);
          return grpc::Status::CANCELLED;
        };
  }
};

using FlowWatchTest = CliTest;

TEST_F(FlowWatchTest, FramesOfCsvHaveOneHeadingOrNone) {
  server_.flows.on_WatchFlows = [](grpc::ServerContext& context, const auto&,
                                   auto& writer) {
    const auto frame = Json<v1::WatchFlowsResponse>(R"({
        "grouping": {"destinationPort": true},
        "ranking": {"groups": [{"destinationPort": 443,
                                "sums": {"flows": 17}}]}})");
    writer.Write(frame);
    writer.Write(frame);
    WaitForCancellation(context);
    return grpc::Status::CANCELLED;
  };
  const auto lines = [this](std::vector<std::string> more) {
    std::vector<std::string> words = {"flow",    "watch", "--by", "dport",
                                      "--count", "2",     "-o",   "csv"};
    words.insert(words.end(), more.begin(), more.end());
    return std::vector<std::string>(
        absl::StrSplit(Nfmeter(words).out, '\n', absl::SkipEmpty()));
  };
  EXPECT_THAT(lines({}), SizeIs(3));
  EXPECT_THAT(lines({"--no-headers"}),
              AllOf(SizeIs(2), Each(StartsWith("443,"))));
}

TEST_F(QuotaTest, SaysThatNoneIsOverItsQuota) {
  server_.counters.on_WatchQuotaEvents = [](grpc::ServerContext&, const auto&,
                                            auto& writer) {
    v1::WatchQuotaEventsResponse event;
    event.set_kind(v1::QUOTA_EVENT_KIND_SYNCED);
    writer.Write(event);
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"quota", "watch", "--once"}).out,
              ::testing::EndsWith("synced     none is over its quota\n"));
}

TEST_F(QuotaTest, PrintsALineForEachCrossing) {
  EXPECT_EQ(Nfmeter({"quota", "watch", "cap*", "--count", "2"}).out,
            "2023-11-14 22:13:20  standing   cap                              "
            "limit 10 "
            "packets       10 packets, 0 B\n"
            "2023-11-14 22:13:20  synced     those above were over their quota "
            "already\n"
            "2023-11-14 22:13:20  crossed    cap                              "
            "limit 10 "
            "packets       10 packets, 0 B\n");
  EXPECT_EQ(Nfmeter({"quota", "watch", "cap*", "--once", "-o", "csv"}).out,
            "time,kind,name,quota,quota_unit,packets,bytes,missed_events,"
            "threshold_percent\n"
            "2023-11-14T22:13:20Z,standing,cap,10,packets,10,0,0,0\n"
            "2023-11-14T22:13:20Z,synced,,,,0,0,0,0\n");
  EXPECT_EQ(Nfmeter({"quota", "watch", "cap*", "-n", "2", "-o", "name"}).out,
            "cap\ncap\n");
  const auto event = Json<v1::WatchQuotaEventsResponse>(
      Nfmeter({"quota", "watch", "cap*", "-n", "1", "-o", "json"}).out);
  EXPECT_EQ(event.kind(), v1::QUOTA_EVENT_KIND_STANDING);
}

TEST_F(QuotaTest, ANameOfWhichNothingWillComeIsAnError) {
  server_.counters.on_GetCounter = [](const auto& request, auto* response) {
    if (request.name() != "cap") {
      return Error(grpc::StatusCode::NOT_FOUND, "there is no such counter");
    }
    response->mutable_counter()->set_name("cap");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"quota", "watch", "typo"}).exit_code, 3);
  const RunResult no_quota = Nfmeter({"quota", "watch", "cap"});
  EXPECT_EQ(no_quota.exit_code, 4);
  EXPECT_THAT(no_quota.err, HasSubstr("counter 'cap' has no quota"));
}

TEST_F(QuotaTest, ALostConnectionIsToldOnStandardError) {
  std::atomic<int> streams = 0;
  server_.counters.on_WatchQuotaEvents = [&](grpc::ServerContext&, const auto&,
                                             auto& writer) {
    v1::WatchQuotaEventsResponse event;
    event.set_kind(v1::QUOTA_EVENT_KIND_CROSSED);
    event.mutable_counter()->set_name(absl::StrCat("cap", ++streams));
    writer.Write(event);
    return streams < 2 ? Error(grpc::StatusCode::UNAVAILABLE, "going down")
                       : grpc::Status::OK;
  };
  const RunResult result = Nfmeter({"quota", "watch", "-n", "2", "-o", "name"});
  EXPECT_EQ(result.out, "cap1\ncap2\n");
  EXPECT_EQ(result.err,
            "nfmeter: connection lost: going down; trying again\n"
            "nfmeter: connected again\n");
}

using NodeTest = CliTest;

TEST_F(NodeTest, NodeShowsWhatIsMissing) {
  server_.node.on_GetNode = [](const auto&, auto* response) {
    response->mutable_node()->set_hostname("gw1");
    v1::Capability* capability = response->mutable_node()->add_capabilities();
    capability->set_name("nfacct");
    capability->set_detail("modprobe nfnetlink_acct");
    capability->add_methods("nfmeter.v1.CounterService/ListCounters");
    v1::Capability* extra = response->mutable_node()->add_capabilities();
    extra->set_name("extra");
    extra->set_detail("nothing needs it");
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"node"}).out,
              AllOf(StartsWith("host                gw1\n"),
                    HasSubstr("nfacct      missing  modprobe "
                              "nfnetlink_acct\n"),
                    HasSubstr("extra       absent   nothing needs it\n")));
  EXPECT_EQ(Nfmeter({"node", "-o", "name"}).out, "gw1\n");
  EXPECT_EQ(Json<v1::GetNodeResponse>(Nfmeter({"node", "-o", "json"}).out)
                .node()
                .hostname(),
            "gw1");
}

TEST_F(NodeTest, HealthIsAnExitCode) {
  RunResult result = Nfmeter({"health"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "SERVING\n");
  EXPECT_EQ(Nfmeter({"health", "-o", "json"}).out,
            "{\n \"status\": \"SERVING\"\n}\n");
  EXPECT_EQ(Nfmeter({"health", "no.such.Service"}).exit_code, 3);
  server_.server().GetHealthCheckService()->SetServingStatus(false);
  result = Nfmeter({"health"});
  EXPECT_EQ(result.exit_code, 6);
  EXPECT_EQ(result.out, "NOT_SERVING\n");
}

TEST_F(NodeTest, VersionNeedsNoServer) {
  server_.Stop();
  EXPECT_THAT(Nfmeter({"version"}).out, ::testing::MatchesRegex("[0-9.]+\n"));
  EXPECT_THAT(Nfmeter({"--version"}).out,
              ::testing::MatchesRegex("nfmeter [0-9.]+\n"));
}

}  // namespace
}  // namespace nfmeter::testing
