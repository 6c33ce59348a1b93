// SPDX-License-Identifier: GPL-3.0-or-later
// Lists as terminals of 40, 80 and 200 columns show them; tests/unit/cli has
// those of top. NFMETER_UPDATE_SCREENS=1 writes the files.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

// Characters, not bytes.
int Columns(absl::string_view line) {
  return static_cast<int>(std::count_if(
      line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

class ScreensTest : public CliTest {
 protected:
  ScreensTest() {
    server_.counters.on_ListCounters = [](const auto&, auto* response) {
      *response = Json<v1::ListCountersResponse>(R"({"counters": [
          {"name": "http-traffic", "packets": 1200, "bytes": 3460000,
           "useCount": 2, "labels": {"tenant": "acme"}},
          {"name": "a-name-of-thirty-one-characters", "packets": 98765432,
           "bytes": 123456789012, "useCount": 1,
           "quota": {"bytes": 107374182400, "exceeded": true}}]})");
      return grpc::Status::OK;
    };
    server_.rules.on_ListRules = [](const auto&, auto* response) {
      *response = Json<v1::ListRulesResponse>(R"({"rules": [
          {"id": "http-in", "family": "FAMILY_IPV4", "table": "filter",
           "chain": "INPUT", "counter": "http-traffic", "managed": true,
           "match": {"protocol": "tcp", "sourcePorts": [{"first": 80}],
                     "source": "192.0.2.0/24"},
           "verdict": "VERDICT_CONTINUE", "packets": 7, "bytes": 420,
           "spec": "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --sport 80"}]})");
      return grpc::Status::OK;
    };
    AnswerUsage();
    AnswerPlans();
    AnswerFlows();
    AnswerQuotaEvents();
  }

  void AnswerUsage() {
    server_.usage.on_ListUsage = [](const auto&, auto* response) {
      *response = Json<v1::ListUsageResponse>(R"({"rows": [
          {"startTime": "2026-11-01T00:00:00Z",
           "endTime": "2026-11-02T00:00:00Z", "labels": {"tenant": "acme"},
           "packets": 987654, "bytes": 123456789012, "p95BytesPerSecond": 2048,
           "peakBytesPerSecond": 409600, "fiveMinutesKnown": true,
           "atLeast": true},
          {"startTime": "2026-11-01T00:00:00Z",
           "endTime": "2026-11-02T00:00:00Z",
           "labels": {"tenant": "a tenant of a rather long name"},
           "packets": 1000, "bytes": 34567890123, "p95BytesPerSecond": 1024,
           "peakBytesPerSecond": 4096, "fiveMinutesKnown": true}]})");
      return grpc::Status::OK;
    };
    server_.usage.on_ListGaps = [](const auto&, auto* response) {
      *response = Json<v1::ListGapsResponse>(R"({"gaps": [
          {"cause": "USAGE_GAP_CAUSE_REBOOT",
           "startTime": "2026-11-02T00:00:00Z",
           "endTime": "2026-11-02T00:01:00Z"}]})");
      return grpc::Status::OK;
    };
  }

  void AnswerPlans() {
    server_.plans.on_ListPlans = [](const auto&, auto* response) {
      *response = Json<v1::ListPlansResponse>(R"({"plans": [
          {"name": "customers", "owner": "socket:/run/nfmeter/nfmeter.sock",
           "applyTime": "2026-11-02T10:00:00Z", "etag": "0123456789abcdef"},
          {"name": "uplinks-of-the-two-data-centres",
           "owner": "spiffe://example.org/ops/alice",
           "applyTime": "2026-11-02T10:00:00Z", "etag": "fedcba9876543210"}
          ]})");
      return grpc::Status::OK;
    };
    server_.plans.on_GetPlanStatus = [](const auto& request, auto* response) {
      if (request.name() != "customers") {
        return grpc::Status(grpc::StatusCode::NOT_FOUND, "");
      }
      *response = Json<v1::GetPlanStatusResponse>(R"({"status": {
          "name": "customers", "state": "STATE_DRIFTED", "repairs": 2,
          "message": "a rule is missing in NFM-customers-1",
          "checkTime": "2026-11-02T10:05:00Z",
          "missedFrom": "2026-11-02T10:01:00Z",
          "missedTo": "2026-11-02T10:01:05Z"}})");
      return grpc::Status::OK;
    };
  }

  void AnswerFlows() {
    server_.flows.on_ListFlows = [](auto&, const auto&, auto& writer) {
      writer.Write(Json<v1::ListFlowsResponse>(R"({"flows": [
          {"id": 7, "protocol": "tcp", "protocolNumber": 6,
           "original": {"sourceAddress": "192.0.2.200", "sourcePort": 54321,
                        "destinationAddress": "198.51.100.17",
                        "destinationPort": 443},
           "originalCounts": {"packets": 12345, "bytes": 987654},
           "replyCounts": {"packets": 23456, "bytes": 98765432},
           "tcpState": "FLOW_TCP_STATE_ESTABLISHED"},
          {"id": 8, "protocol": "udp", "protocolNumber": 17,
           "original": {"sourceAddress": "2001:db8:1234:5678:9abc::17",
                        "sourcePort": 54321, "destinationPort": 53,
                        "destinationAddress": "2001:db8::53"},
           "originalCounts": {"packets": 1, "bytes": 60},
           "replyCounts": {"packets": 1, "bytes": 120}}],
          "reading": {"readTime": "2026-11-02T10:00:00Z"}})"));
      return grpc::Status::OK;
    };
    server_.flows.on_SummarizeFlows = [](const auto&, auto* response) {
      *response = Json<v1::SummarizeFlowsResponse>(R"({
          "grouping": {"source": {"ipv4": 24, "ipv6": 48},
                       "destinationPort": true},
          "ranking": {"groups": [
              {"source": "192.0.2.0/24", "destinationPort": 443,
               "sums": {"flows": 17, "original": {"packets": 1, "bytes": 60},
                        "reply": {"packets": 99999, "bytes": 123456789}}}],
            "other": {}, "total": {"flows": 17}}})");
      return grpc::Status::OK;
    };
  }

  void AnswerQuotaEvents() {
    server_.counters.on_WatchQuotaEvents = [](auto& context, const auto&,
                                              auto& writer) {
      for (const char* event : {
               R"({"kind": "QUOTA_EVENT_KIND_SYNCED",
                   "time": "2026-11-02T10:00:00Z"})",
               R"({"kind": "QUOTA_EVENT_KIND_CROSSED",
                   "time": "2026-11-02T10:00:01Z",
                   "counter": {"name": "a-name-of-thirty-one-characters",
                               "packets": 1234567, "bytes": 10898765432,
                               "quota": {"bytes": 10737418240}}})"}) {
        writer.Write(Json<v1::WatchQuotaEventsResponse>(event));
      }
      while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
      return grpc::Status::CANCELLED;
    };
  }

  // The screen is the one in screens/NAME-COLUMNS.txt.
  void ExpectScreens(const std::string& name, const std::string& command) {
    for (const int columns : {40, 80, 200}) {
      const std::string shown = absl::StrReplaceAll(
          Shell(absl::StrCat("script -qec 'stty cols ", columns,
                             "; $NFMETER --color never ", command,
                             "' /dev/null"))
              .out,
          {{"\r", ""}});
      const std::string path =
          absl::StrCat(NFMETER_SCREENS, "/", name, "-", columns, ".txt");
      if (std::getenv("NFMETER_UPDATE_SCREENS") != nullptr) {
        std::ofstream(path) << shown;
      }
      std::stringstream kept;
      kept << std::ifstream(path).rdbuf();
      EXPECT_EQ(shown, kept.str())
          << "NFMETER_UPDATE_SCREENS=1 writes " << path;
      for (absl::string_view line : absl::StrSplit(shown, '\n')) {
        // Sentences around a table go on in the terminal's next line.
        if (absl::StrContains(line, "; '") || absl::EndsWith(line, "(UTC)")) {
          continue;
        }
        EXPECT_LE(Columns(line), columns) << name << ": " << line;
      }
    }
  }
};

TEST_F(ScreensTest, Counters) { ExpectScreens("counters", "counter list"); }

TEST_F(ScreensTest, Rules) { ExpectScreens("rules", "rule list"); }

TEST_F(ScreensTest, Usage) {
  ExpectScreens("usage",
                "usage report --since 2026-11 --until 2026-12 --group-by "
                "tenant --every 1d");
}

TEST_F(ScreensTest, Gaps) {
  ExpectScreens("gaps", "usage gaps --since 2026-11 --until 2026-12");
}

TEST_F(ScreensTest, Plans) {
  ExpectScreens("plans", "plan list");
  ExpectScreens("plan-status", "plan status");
}

TEST_F(ScreensTest, Flows) {
  ExpectScreens("flows", "flow list");
  ExpectScreens("flow-top", "flow top --by src/24,dport");
}

TEST_F(ScreensTest, QuotaEvents) {
  ExpectScreens("quota-events", "quota watch --count 1");
}

}  // namespace
}  // namespace nfmeter::testing
