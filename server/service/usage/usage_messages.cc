// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/usage/usage_messages.h"

#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

using accounting::Account;

v1::UsageCounterState ToProto(Account::State state) {
  switch (state) {
    case Account::State::kLive:
      return v1::USAGE_COUNTER_STATE_LIVE;
    case Account::State::kAbsent:
      return v1::USAGE_COUNTER_STATE_ABSENT;
    case Account::State::kClosed:
      break;
  }
  return v1::USAGE_COUNTER_STATE_DELETED;
}

}  // namespace

accounting::Labels LabelsOf(const accounting::StoredAccount& stored,
                            const accounting::LabelStore& labels) {
  return stored.account.state == Account::State::kClosed
             ? stored.last_labels
             : labels.Get(stored.account.name);
}

void ToProto(const Account& account, const accounting::Labels& labels,
             v1::UsageCounter* proto) {
  proto->set_id(account.id);
  proto->set_name(accounting::ShownName(account.name));
  proto->set_generation(account.generation);
  proto->set_state(ToProto(account.state));
  ToProto(account.create_time, proto->mutable_create_time());
  ToProto(account.start_time, proto->mutable_start_time());
  if (account.end_time != absl::InfiniteFuture()) {
    ToProto(account.end_time, proto->mutable_end_time());
  }
  for (const auto& [key, value] : labels) {
    if (!accounting::IsOwnLabel(key)) {
      (*proto->mutable_labels())[key] = value;
    }
  }
}

void ToProto(const accounting::Gap& gap, const std::string& counter,
             v1::UsageGap* proto) {
  proto->set_counter_id(gap.account);
  proto->set_counter(counter);
  // The numbers are the same.
  proto->set_cause(static_cast<v1::UsageGapCause>(gap.cause));
  if (gap.from != absl::InfinitePast()) {
    ToProto(gap.from, proto->mutable_start_time());
  }
  ToProto(gap.to, proto->mutable_end_time());
  if (gap.at_most.has_value()) {
    proto->set_bounded(true);
    proto->set_max_packets(gap.at_most->packets);
    proto->set_max_bytes(gap.at_most->bytes);
  }
}

void ToProto(const accounting::UsageRow& row, v1::UsageRow* proto) {
  ToProto(row.from, proto->mutable_start_time());
  ToProto(row.to, proto->mutable_end_time());
  proto->mutable_labels()->insert(row.labels.begin(), row.labels.end());
  proto->set_counter(row.counter);
  proto->set_packets(row.sum.packets);
  proto->set_bytes(row.sum.bytes);
  proto->set_peak_packets_per_second(row.peak.packets);
  proto->set_peak_bytes_per_second(row.peak.bytes);
  proto->set_p95_packets_per_second(row.p95.packets);
  proto->set_p95_bytes_per_second(row.p95.bytes);
  proto->set_five_minutes_known(row.five_minutes_known);
  proto->set_at_least(row.at_least);
}

}  // namespace nfmeter::service
