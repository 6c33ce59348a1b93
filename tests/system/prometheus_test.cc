// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics of a real nfmeterd, as promtool and a real Prometheus read them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/read_file.h"
#include "tests/support/self_signed.h"
#include "tests/support/status_matchers.h"
#include "tests/system/prometheus_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::MetricsAddressOf;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::PrometheusProcess;
using ::nfmeter::testing::ScrapeMetrics;
using ::testing::HasSubstr;
using Samples = std::vector<PrometheusProcess::Sample>;

constexpr uint16_t kScrapedPort = 5000;
constexpr size_t kPayload = 72;  // makes 100 bytes with both headers

// Sends datagrams over loopback to nobody in particular.
class Sender {
 public:
  Sender() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    // Somebody has to listen, or errors come back.
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kScrapedPort);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    receiver_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(receiver_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Sender() {
    close(fd_);
    close(receiver_);
  }
  void Send() const {
    const char payload[kPayload] = {};
    EXPECT_EQ(send(fd_, payload, kPayload, 0), static_cast<ssize_t>(kPayload));
  }

 private:
  const int fd_;
  int receiver_;
};

class PrometheusTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"--metrics-listen", "127.0.0.1:0"});
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = std::move(arguments)});
    ASSERT_OK(server_->WaitUntilReady());
    counters_ = v1::CounterService::NewStub(server_->Channel());
    rules_ = v1::RuleService::NewStub(server_->Channel());
    snapshots_ = v1::SnapshotService::NewStub(server_->Channel());
  }

  void CreateCounter(const std::string& name, uint64_t quota_packets = 0,
                     uint64_t quota_bytes = 0) {
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name(name);
    if (quota_packets > 0) {
      request.mutable_counter()->mutable_quota()->set_packets(quota_packets);
    }
    if (quota_bytes > 0) {
      request.mutable_counter()->mutable_quota()->set_bytes(quota_bytes);
    }
    v1::CreateCounterResponse response;
    grpc::ClientContext context;
    const auto made = counters_->CreateCounter(&context, request, &response);
    ASSERT_OK(made) << made.error_message();
  }

  // Counts what Sender sends.
  std::string CreateRule(const std::string& counter) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_chain("OUTPUT");
    request.mutable_rule()->set_counter(counter);
    auto& match = *request.mutable_rule()->mutable_match();
    match.set_protocol("udp");
    match.add_destination_ports()->set_first(kScrapedPort);
    v1::CreateRuleResponse response;
    grpc::ClientContext context;
    const auto made = rules_->CreateRule(&context, request, &response);
    EXPECT_OK(made) << made.error_message();
    return response.rule().id();
  }

  bool Get(const std::string& name) {
    v1::GetCounterRequest request;
    request.set_name(name);
    v1::GetCounterResponse response;
    grpc::ClientContext context;
    return counters_->GetCounter(&context, request, &response).ok();
  }

  void Reset(const std::string& name) {
    v1::ResetCounterRequest request;
    request.set_name(name);
    v1::ResetCounterResponse response;
    grpc::ClientContext context;
    const auto reset = counters_->ResetCounter(&context, request, &response);
    ASSERT_OK(reset) << reset.error_message();
  }

  std::unique_ptr<NfmeterdProcess> server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
  std::unique_ptr<v1::RuleService::Stub> rules_;
  std::unique_ptr<v1::SnapshotService::Stub> snapshots_;
};

TEST_F(PrometheusTest, PromtoolFindsNothingWrong) {
  Start();
  CreateCounter("web", 5);
  ASSERT_FALSE(Get("missing"));
  const std::string page = ScrapeMetrics(MetricsAddressOf(*server_));
  const testing::RunResult checked =
      testing::Run({"promtool", "check", "metrics"}, page);
  // 3 is for remarks about names; that of our noun is the only one.
  EXPECT_EQ(checked.exit_code, 3) << checked.out << checked.err;
  EXPECT_EQ(checked.out, "");
  EXPECT_THAT(
      absl::StrSplit(checked.err, '\n', absl::SkipEmpty()),
      ::testing::ElementsAre(
          "nfmeter_counter_bytes_total metric name should not include type "
          "'counter'",
          "nfmeter_counter_packets_total metric name should not include type "
          "'counter'"));
  for (const char* metric :
       {"nfmeter_build_info{version=\"", "process_resident_memory_bytes ",
        "process_open_fds ", "process_start_time_seconds ",
        "nfmeter_counter_packets_total{counter=\"web\"} 0",
        "nfmeter_quota_exceeded{counter=\"web\"} 0",
        "nfmeter_kernel_part_available{part=\"nfacct\"} 1",
        "nfmeter_call_failures_total{reason=\"COUNTER_NOT_FOUND\"} 1"}) {
    EXPECT_THAT(page, HasSubstr(metric));
  }
}

TEST_F(PrometheusTest, MetricsAndDocumentationNameTheSame) {
  Start();
  const std::string page = ScrapeMetrics(MetricsAddressOf(*server_));
  const std::string docs =
      testing::ReadFile(NFMETER_SOURCE_ROOT "/docs/metrics.md");
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!absl::StartsWith(line, "# TYPE ")) continue;
    const std::string name = line.substr(7, line.find(' ', 7) - 7);
    EXPECT_THAT(docs, HasSubstr(absl::StrCat("`", name, "`")));
  }
}

TEST_F(PrometheusTest, TotalsNeverGoBackAndEndAtWhatWasSent) {
  Start();
  CreateCounter("flow");
  CreateRule("flow");
  const std::string packets = "nfmeter_counter_packets_total";
  const PrometheusProcess prometheus(MetricsAddressOf(*server_));
  std::atomic<bool> done = false;
  int sent = 0;
  std::thread sender([&] {
    const Sender udp;
    for (; !done; ++sent) {
      udp.Send();
      if (sent % 20 == 0) usleep(1000);  // leaves others some of the CPU
    }
  });
  int resets = 0;
  std::thread resetter([&] {
    for (; !done; ++resets) Reset("flow");
  });
  // Until many scrapes have seen it grow.
  const Samples changes = prometheus.QueryUntil(
      absl::StrCat("changes(", packets, "[1h])"), [](const Samples& samples) {
        return samples.size() == 1 && samples[0].value >= 8;
      });
  done = true;
  sender.join();
  resetter.join();
  ASSERT_EQ(changes.size(), 1);
  EXPECT_GE(changes[0].value, 8);
  EXPECT_GT(resets, 8);
  EXPECT_EQ(prometheus.ValueWhenItIs(packets, sent), sent);
  EXPECT_EQ(prometheus.Query("nfmeter_counter_bytes_total")[0].value,
            100.0 * sent);
  EXPECT_EQ(
      prometheus.Query(absl::StrCat("resets(", packets, "[1h])"))[0].value, 0);
  EXPECT_EQ(prometheus.Query("nfmeter_foreign_resets_total")[0].value, 0);
}

TEST_F(PrometheusTest, TotalsGoOnOverAKillAfterAReset) {
  const testing::TemporaryDirectory state;
  const std::vector<std::string> arguments = {"--state-dir", state.path(),
                                              "--metrics-labels", "tenant"};
  const auto page = [this] {
    return ScrapeMetrics(MetricsAddressOf(*server_));
  };
  Start(arguments);
  CreateCounter("flow");
  CreateRule("flow");
  const Sender udp;
  for (int i = 0; i < 10; ++i) udp.Send();
  Reset("flow");
  for (int i = 0; i < 5; ++i) udp.Send();
  EXPECT_THAT(page(), HasSubstr("packets_total{counter=\"flow\"} 15\n"));
  server_->process().Signal(SIGKILL);
  server_->process().Wait(absl::Seconds(30));
  Start(arguments);
  EXPECT_THAT(page(), HasSubstr("packets_total{counter=\"flow\"} 15\n"));
  EXPECT_THAT(page(), HasSubstr("nfmeter_counter_info{counter=\"flow\"} 1\n"));
}

TEST_F(PrometheusTest, AResetByNfacctKeepsTheTotalAndIsCounted) {
  Start();
  CreateCounter("flow");
  CreateRule("flow");
  const Sender udp;
  for (int i = 0; i < 10; ++i) udp.Send();
  const PrometheusProcess prometheus(MetricsAddressOf(*server_));
  const std::string packets = "nfmeter_counter_packets_total";
  ASSERT_EQ(prometheus.ValueWhenItIs(packets, 10), 10);
  ASSERT_EQ(testing::Run({"nfacct", "get", "flow", "reset"}).exit_code, 0);
  for (int i = 0; i < 5; ++i) udp.Send();
  EXPECT_EQ(prometheus.ValueWhenItIs(packets, 15), 15);
  EXPECT_EQ(prometheus.ValueWhenItIs("nfmeter_foreign_resets_total", 1), 1);
}

TEST_F(PrometheusTest, AnExceededQuotaRaisesItsAlert) {
  Start();
  CreateCounter("capped", /*quota_packets=*/3);
  CreateRule("capped");
  const PrometheusProcess prometheus(MetricsAddressOf(*server_));
  EXPECT_EQ(prometheus.ValueWhenItIs("nfmeter_quota_exceeded", 0), 0);
  const Sender udp;
  for (int i = 0; i < 5; ++i) udp.Send();
  EXPECT_EQ(
      prometheus.ValueWhenItIs("ALERTS{alertname=\"NfmeterQuotaExceeded\","
                               "alertstate=\"firing\",counter=\"capped\"}",
                               1),
      1);
}

// --- The dashboard -----------------------------------------------------------

class DashboardTest : public PrometheusTest {
 protected:
  using Value = google::protobuf::Value;

  // A server that has a bit of everything to show.
  void StartBusy() {
    testing::MakeSelfSigned(dir_ / "tls.crt", dir_ / "tls.key");
    Start({"--listen", "tcp:[::1]:0", "--tls-certificate", dir_ / "tls.crt",
           "--tls-key", dir_ / "tls.key", "--tls-client-ca", dir_ / "tls.crt"});
    CreateCounter("web");
    CreateCounter("capped", 0, /*quota_bytes=*/300);
    CreateRule("web");
    CreateRule("capped");
  }

  // Until `done`.
  void BeBusy(const std::atomic<bool>& done) {
    const Sender udp;
    v1::WatchSnapshotsRequest request;
    request.mutable_interval()->set_nanos(100'000'000);
    grpc::ClientContext context;
    const auto stream = snapshots_->WatchSnapshots(&context, request);
    while (!done) {
      for (int i = 0; i < 20; ++i) udp.Send();
      Get("web");
      Get("missing");
      v1::DeleteRuleRequest deletion;
      deletion.set_id(CreateRule("web"));
      v1::DeleteRuleResponse deleted;
      grpc::ClientContext delete_context;
      rules_->DeleteRule(&delete_context, deletion, &deleted);
      v1::WatchSnapshotsResponse frame;
      if (!stream->Read(&frame)) break;
    }
    context.TryCancel();
  }

  static Value Dashboard() {
    Value root;
    EXPECT_OK(google::protobuf::util::JsonStringToMessage(
        testing::ReadFile(NFMETER_SOURCE_ROOT
                          "/charts/nfmeter/files/grafana/nfmeter.json"),
        &root));
    return root;
  }

  // All values of this key, wherever they are.
  static void Collect(const Value& in, const std::string& key,
                      std::vector<std::string>& found) {
    for (const Value& each : in.list_value().values()) {
      Collect(each, key, found);
    }
    for (const auto& [name, each] : in.struct_value().fields()) {
      if (name == key && each.kind_case() == Value::kStringValue) {
        found.push_back(each.string_value());
      }
      Collect(each, key, found);
    }
  }

  testing::TemporaryDirectory dir_;
};

TEST_F(DashboardTest, EveryQueryGetsData) {
  StartBusy();
  std::vector<std::string> queries;
  Collect(Dashboard(), "expr", queries);
  ASSERT_GT(queries.size(), 30);
  const PrometheusProcess prometheus(MetricsAddressOf(*server_));
  std::atomic<bool> done = false;
  std::thread busy([&] { BeBusy(done); });
  for (const std::string& query : queries) {
    const std::string asked =
        absl::StrReplaceAll(query, {{"$__rate_interval", "1m"},
                                    {"$__range", "1h"},
                                    {"$instance", ".*"},
                                    {"$counter", ".*"}});
    EXPECT_EQ(asked.find('$'), std::string::npos) << asked;
    const auto has_data = [](const Samples& samples) {
      return std::any_of(
          samples.begin(), samples.end(),
          [](const auto& sample) { return !std::isnan(sample.value); });
    };
    EXPECT_TRUE(has_data(prometheus.QueryUntil(asked, has_data))) << asked;
  }
  done = true;
  busy.join();
}

TEST_F(DashboardTest, ItsVariablesAreOfMetricsThatThereAre) {
  Start();
  CreateCounter("web");
  std::vector<std::string> definitions;
  Collect(Dashboard(), "definition", definitions);
  ASSERT_EQ(definitions.size(), 2);
  const PrometheusProcess prometheus(MetricsAddressOf(*server_));
  for (const std::string& definition : definitions) {
    // label_values(METRIC, LABEL)
    const std::string metric =
        absl::StrReplaceAll(definition.substr(13, definition.rfind(',') - 13),
                            {{"$instance", ".*"}});
    const size_t label_begin = definition.rfind(' ') + 1;
    const std::string label =
        definition.substr(label_begin, definition.rfind(')') - label_begin);
    const Samples samples = prometheus.QueryUntil(
        metric, [](const Samples& samples) { return !samples.empty(); });
    ASSERT_FALSE(samples.empty()) << metric;
    EXPECT_TRUE(samples[0].labels.contains(label)) << label;
  }
}

}  // namespace
}  // namespace nfmeter
