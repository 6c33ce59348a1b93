// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/system/prometheus_process.h"

#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

constexpr char kAddress[] = "127.0.0.1:9090";
constexpr absl::Duration kPatience = absl::Seconds(30);

double NumberOf(const google::protobuf::Value& value) {
  double number = 0;
  EXPECT_TRUE(absl::SimpleAtod(value.string_value(), &number))
      << value.string_value();
  return number;
}

}  // namespace

std::string MetricsAddressOf(const NfmeterdProcess& server) {
  const std::string log = server.Log();
  const std::string before = "http://";
  const size_t begin = log.find(before);
  if (begin == std::string::npos) return "";
  const size_t address = begin + before.size();
  return log.substr(address, log.find('/', address) - address);
}

std::string ScrapeMetrics(const std::string& address) {
  const RunResult fetched =
      Run({"curl", "-sS", "-f", absl::StrCat("http://", address, "/metrics")});
  EXPECT_EQ(fetched.exit_code, 0) << fetched.err;
  return fetched.out;
}

PrometheusProcess::PrometheusProcess(const std::string& metrics_address) {
  std::ofstream(dir_ / "prometheus.yaml")
      << "global: {scrape_interval: 250ms, scrape_timeout: 250ms, "
         "evaluation_interval: 250ms}\n"
      << "rule_files: [" << NFMETER_SOURCE_ROOT
      << "/charts/nfmeter/files/prometheus/nfmeter-alerts.yaml]\n"
      << "scrape_configs: [{job_name: nfmeter, static_configs: [{targets: ['"
      << metrics_address << "']}]}]\n";
  process_ = std::make_unique<Background>(
      std::vector<std::string>{
          "prometheus",
          absl::StrCat("--config.file=", dir_ / "prometheus.yaml"),
          absl::StrCat("--storage.tsdb.path=", dir_ / "data"),
          absl::StrCat("--web.listen-address=", kAddress)},
      dir_ / "log");
  EXPECT_TRUE(Eventually(
      [] {
        return Run({"curl", "-sf",
                    absl::StrCat("http://", kAddress, "/-/ready")})
                   .exit_code == 0;
      },
      kPatience))
      << "Prometheus is not ready: " << ReadFile(dir_ / "log");
}

std::vector<PrometheusProcess::Sample> PrometheusProcess::Query(
    const std::string& query) const {
  const RunResult answer = Run(
      {"curl", "-sS", "-G", "--data-urlencode", absl::StrCat("query=", query),
       absl::StrCat("http://", kAddress, "/api/v1/query")});
  google::protobuf::Struct root;
  EXPECT_OK(google::protobuf::util::JsonStringToMessage(answer.out, &root))
      << answer.out << answer.err;
  EXPECT_EQ(root.fields().at("status").string_value(), "success")
      << query << ": " << answer.out;
  std::vector<Sample> samples;
  if (!root.fields().contains("data")) return samples;
  const auto& data = root.fields().at("data").struct_value().fields();
  for (const auto& each : data.at("result").list_value().values()) {
    const auto& fields = each.struct_value().fields();
    Sample& sample = samples.emplace_back();
    for (const auto& [name, value] :
         fields.at("metric").struct_value().fields()) {
      sample.labels[name] = value.string_value();
    }
    sample.value = NumberOf(fields.at("value").list_value().values(1));
  }
  return samples;
}

std::vector<PrometheusProcess::Sample> PrometheusProcess::QueryUntil(
    const std::string& query,
    const std::function<bool(const std::vector<Sample>&)>& good) const {
  std::vector<Sample> samples;
  // What has not come by then, the caller sees.
  (void)Eventually(
      [&] {
        samples = Query(query);
        return good(samples) || ::testing::Test::HasFailure();
      },
      kPatience);
  return samples;
}

double PrometheusProcess::ValueWhenItIs(const std::string& query,
                                        double value) const {
  const std::vector<Sample> samples =
      QueryUntil(query, [value](const std::vector<Sample>& samples) {
        return samples.size() == 1 && samples[0].value == value;
      });
  EXPECT_EQ(samples.size(), 1) << query;
  return samples.empty() ? -1 : samples[0].value;
}

}  // namespace nfmeter::testing
