// SPDX-License-Identifier: GPL-3.0-or-later
// Lists as terminals of 40, 80 and 200 columns show them; tests/unit/cli has
// those of top. NFMETER_UPDATE_SCREENS=1 writes the files.

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/component/cli/cli_fixture.h"
#include "tests/support/read_file.h"

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
    AnswerSnapshots();
    AnswerNode();
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
      WaitForCancellation(context);
      return grpc::Status::CANCELLED;
    };
  }

  // Two frames, a second apart by boottime.
  void AnswerSnapshots() {
    server_.snapshots.on_WatchSnapshots = [](auto& context, const auto&,
                                             auto& writer) {
      for (const char* frame : {
               R"({"epoch": 7, "sequence": 1, "complete": true, "full": true,
                   "wallTime": "2026-11-02T10:00:00Z", "boottime": "100s",
                   "lastChunk": true, "expectedCount": 2, "columns": {
                     "ids": [1, 2], "packets": [1200, 98765432],
                     "bytes": [3460000, 123456789012],
                     "totalPackets": [71200, 598765432],
                     "totalBytes": [73460000, 723456789012],
                     "newNames": "http\na-name-of-thirty-one-characters\n"}})",
               R"({"epoch": 7, "sequence": 2, "complete": true, "full": true,
                   "wallTime": "2026-11-02T10:00:01Z", "boottime": "101s",
                   "lastChunk": true, "expectedCount": 2, "columns": {
                     "ids": [1, 2], "packets": [1200, 98875432],
                     "bytes": [3460000, 123613229012],
                     "totalPackets": [71200, 598875432],
                     "totalBytes": [73460000, 723613229012]}})"}) {
        v1::WatchSnapshotsResponse response;
        *response.mutable_frame() = Json<v1::SnapshotFrame>(frame);
        writer.Write(response);
      }
      WaitForCancellation(context);
      return grpc::Status::CANCELLED;
    };
  }

  void AnswerNode() {
    server_.node.on_GetNode = [](const auto&, auto* response) {
      *response = Json<v1::GetNodeResponse>(R"({"node": {
          "hostname": "gw1", "version": "0.1.0", "kernelRelease": "6.1.0-30",
          "networkNamespace": "4026531840", "counterCount": 12,
          "startTime": "2026-11-02T10:00:00Z", "snapshotSubscribers": 1,
          "capabilities": [
            {"name": "backend", "available": true,
             "detail": "iptables: nfacct and legacy iptables work"},
            {"name": "nfacct_target_ipv4", "available": false,
             "detail": "this kernel has no NFACCT target for IPv4 rules: it comes with nfmeter's own kernel modules; nothing needs it"}],
          "notices": ["no rule counts into 1 counter that was made through nfmeter: http"],
          "caller": {"principal": "spiffe://example.org/ops/alice", "grants": [
            {"role": "operator", "counterPrefixes": ["http", "a-"]}]},
          "ledger": {"durable": true}}})");
      return grpc::Status::OK;
    };
  }

  // The screen is the one in screens/NAME-COLUMNS.txt.
  void ExpectScreens(const std::string& name, const std::string& command) {
    for (const int columns : {40, 80, 200}) {
      const std::string shown = absl::StrReplaceAll(
          OnTerminal(absl::StrCat("stty cols ", columns,
                                  "; $NFMETER --color never ", command))
              .out,
          {{"\r", ""},
           // Redrawing in place: frames stand one below the other.
           {"\x1b[?25l", ""},
           {"\x1b[?25h", ""},
           {"\x1b[K", ""},
           {"\x1b[J", ""},
           {"\x1b[6A", ""}});
      const std::string path =
          absl::StrCat(NFMETER_SCREENS, "/", name, "-", columns, ".txt");
      if (std::getenv("NFMETER_UPDATE_SCREENS") != nullptr) {
        std::ofstream(path) << shown;
      }
      EXPECT_EQ(shown, testing::ReadFile(path))
          << "NFMETER_UPDATE_SCREENS=1 writes " << path;
      for (absl::string_view line : absl::StrSplit(shown, '\n')) {
        // Sentences around a table go on in the terminal's next line.
        if (absl::StrContains(line, "; '") || absl::EndsWith(line, "(UTC)") ||
            absl::StartsWith(line, "- ") || absl::StartsWith(line, "you ")) {
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
                "usage report --since 2025-11 --until 2025-12 --group-by "
                "tenant --every 1d");
}

TEST_F(ScreensTest, Gaps) {
  ExpectScreens("gaps", "usage gaps --since 2025-11 --until 2025-12");
}

TEST_F(ScreensTest, Plans) {
  ExpectScreens("plans", "plan list");
  ExpectScreens("plan-status", "plan status");
}

TEST_F(ScreensTest, Flows) {
  ExpectScreens("flows", "flow list");
  ExpectScreens("flow-top", "flow top --by src/24,dport");
}

TEST_F(ScreensTest, Watch) { ExpectScreens("watch", "watch --count 2"); }

TEST_F(ScreensTest, Node) { ExpectScreens("node", "node"); }

TEST_F(ScreensTest, Contexts) {
  TemporaryDirectory folder;
  const std::string path = folder / "config.yaml";
  std::ofstream(path) << R"(current: edge
contexts:
  gw1: {server: "gw1.example.org:7443", ca: ca.crt, cert: me.crt, key: me.key}
  the-gateway-of-the-second-data-centre:
    {server: "gateway-2.dc-2.example.org:7443", ca: ca.crt}
  here: {server: "unix:/run/nfmeter/nfmeter.sock"}
groups:
  edge: [gw1, the-gateway-of-the-second-data-centre]
)";
  setenv("NFMETER_CONFIG", path.c_str(), 1);
  ExpectScreens("contexts", "context list");
}

TEST_F(ScreensTest, QuotaEvents) {
  ExpectScreens("quota-events", "quota watch --count 1");
}

}  // namespace
}  // namespace nfmeter::testing
