// SPDX-License-Identifier: Apache-2.0
#include "collector/sink.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace nfmeter::collector {

std::string LabelsJson(const v1::UsageCounter& counter) {
  google::protobuf::Struct labels;
  for (const auto& [key, value] : counter.labels()) {
    (*labels.mutable_fields())[key].set_string_value(value);
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(labels, &json);
  return json;
}

absl::Status LeaseLost(const Batch& batch) {
  return absl::AbortedError(absl::StrCat(
      "another collector has taken shard ", batch.lease.shard, ", to which '",
      batch.node, "' belongs; nothing of it was stored here"));
}

absl::Status CursorMoved(const Batch& batch) {
  return absl::FailedPreconditionError(absl::StrCat(
      "what is stored of '", batch.node,
      "' is not where this collector left it; it begins again from there"));
}

}  // namespace nfmeter::collector
