// SPDX-License-Identifier: Apache-2.0
#include "collector/status_view.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/src/words.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace nfmeter::collector {
namespace {

std::string Age(absl::Time time, absl::Time now) {
  if (time == absl::InfinitePast()) return "-";
  const absl::Duration age = now - time;
  return absl::FormatDuration(absl::Trunc(age, age < absl::Minutes(1)
                                                   ? absl::Milliseconds(100)
                                                   : absl::Seconds(1)));
}

}  // namespace

std::string StatusTable(const FleetStatus& status, absl::Time now) {
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "ADDRESS", "COLLECTOR", "LAG", "STORED", "RECORD", "STATE"}};
  for (const NodeStatus& node : status.nodes) {
    rows.push_back({node.name, node.address.empty() ? "-" : node.address,
                    node.collector.empty() ? "-" : node.collector,
                    Age(node.record_time, now), Age(node.stored_time, now),
                    absl::StrCat(node.sequence),
                    !node.error.empty()    ? node.error
                    : node.address.empty() ? "no target any more"
                                           : "ok"});
  }
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text =
      absl::StrCat(CountOf(status.collectors.size(), "collector"), ", ",
                   status.shards_held, " of ", kShards, " shards held, ",
                   CountOf(status.nodes.size(), "node"), "\n\n");
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      absl::StrAppendFormat(&text, "%-*s  ", static_cast<int>(widths[i]),
                            row[i]);
    }
    absl::StrAppend(&text, row.back(), "\n");
  }
  return text;
}

std::string StatusJson(const FleetStatus& status, absl::Time now) {
  google::protobuf::Struct object;
  auto& fields = *object.mutable_fields();
  auto* collectors = fields["collectors"].mutable_list_value();
  for (const std::string& name : status.collectors) {
    collectors->add_values()->set_string_value(name);
  }
  fields["shards"].set_number_value(kShards);
  fields["shards_held"].set_number_value(status.shards_held);
  auto* nodes = fields["nodes"].mutable_list_value();
  for (const NodeStatus& node : status.nodes) {
    auto& row = *nodes->add_values()->mutable_struct_value()->mutable_fields();
    row["node"].set_string_value(node.name);
    row["address"].set_string_value(node.address);
    row["node_id"].set_string_value(node.node_id);
    row["collector"].set_string_value(node.collector);
    row["error"].set_string_value(node.error);
    row["sequence"].set_number_value(static_cast<double>(node.sequence));
    if (node.record_time == absl::InfinitePast()) {
      row["lag_seconds"].set_null_value(google::protobuf::NULL_VALUE);
    } else {
      row["lag_seconds"].set_number_value(
          absl::ToDoubleSeconds(now - node.record_time));
    }
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(object, &json);
  return absl::StrCat(json, "\n");
}

}  // namespace nfmeter::collector
