// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/counter_message.h"

#include "service/gate/status.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {

void ToProto(const accounting::Counter& counter, v1::Counter* proto) {
  const kernel::AcctObject& object = counter.object;
  proto->set_name(accounting::ShownName(object.name));
  if (counter.tool_name != object.name) {
    proto->set_kernel_name(counter.tool_name);
  }
  proto->set_packets(object.packets);
  proto->set_bytes(object.bytes);
  if (object.quota.has_value()) {
    v1::Quota* const quota = proto->mutable_quota();
    if (object.quota->unit == kernel::QuotaLimit::Unit::kPackets) {
      quota->set_packets(object.quota->limit);
    } else {
      quota->set_bytes(object.quota->limit);
    }
    quota->set_exceeded(object.quota_exceeded);
  }
  proto->set_use_count(object.use_count);
  ToProto(counter.read_time, proto->mutable_read_time());
  proto->set_total_packets(counter.account.total.packets);
  proto->set_total_bytes(counter.account.total.bytes);
  ToProto(counter.account.create_time, proto->mutable_create_time());
  ToProto(counter.account.start_time, proto->mutable_start_time());
  if (counter.account.reset_time != absl::InfinitePast()) {
    ToProto(counter.account.reset_time, proto->mutable_last_reset_time());
  }
  proto->set_etag(
      accounting::CounterEtag(object.name, object.quota, counter.labels));
  for (const auto& [key, value] : counter.labels) {
    if (key == accounting::kManagedLabel) {
      proto->set_managed(true);
    } else if (key == accounting::kDescriptionLabel) {
      proto->set_description(value);
    } else {
      (*proto->mutable_labels())[key] = value;
    }
  }
}

void ToProto(const std::vector<accounting::Counter>& counters,
             google::protobuf::RepeatedPtrField<v1::Counter>* protos) {
  protos->Reserve(static_cast<int>(counters.size()));
  for (const accounting::Counter& counter : counters) {
    ToProto(counter, protos->Add());
  }
}

void ToProto(const std::vector<accounting::CounterFailure>& failures,
             google::protobuf::RepeatedPtrField<v1::BatchFailure>* protos) {
  for (const accounting::CounterFailure& failure : failures) {
    v1::BatchFailure* const proto = protos->Add();
    proto->set_index(static_cast<uint32_t>(failure.index));
    proto->set_name(accounting::ShownName(failure.name));
    *proto->mutable_status() = ToRpcStatus(failure.status);
  }
}

}  // namespace nfmeter::service
