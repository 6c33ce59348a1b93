// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/usage/usage_service.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/paging.h"
#include "accounting/ledger/ledger_reader.h"
#include "accounting/ledger/usage_query.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"
#include "service/usage/usage_messages.h"

namespace nfmeter::service {
namespace {

constexpr int kMaxGroupLabels = 16;

// `absent` if it is not given. Nothing was counted before 1970, nor will be
// after 2200.
absl::Time ReadTime(bool given, const google::protobuf::Timestamp& proto,
                    const std::string& field, absl::Time absent,
                    FieldErrors& errors) {
  if (!given) return absent;
  const absl::Time time = ToTime(proto);
  if (proto.nanos() < 0 || proto.nanos() > 999'999'999 ||
      time < absl::UnixEpoch() || time > absl::FromUnixSeconds(7'258'118'400)) {
    errors.Add(field, "must be a time between 1970 and 2200");
    return absent;
  }
  return time;
}

accounting::UsageBucket ReadBucket(v1::UsageBucket bucket,
                                   FieldErrors& errors) {
  switch (bucket) {
    case v1::USAGE_BUCKET_UNSPECIFIED:
      return accounting::UsageBucket::kWhole;
    case v1::USAGE_BUCKET_FIVE_MINUTES:
      return accounting::UsageBucket::kFiveMinutes;
    case v1::USAGE_BUCKET_HOUR:
      return accounting::UsageBucket::kHour;
    case v1::USAGE_BUCKET_DAY:
      return accounting::UsageBucket::kDay;
    case v1::USAGE_BUCKET_MONTH:
      return accounting::UsageBucket::kMonth;
    default:
      errors.Add("bucket", "is not one that this server knows");
      return accounting::UsageBucket::kWhole;
  }
}

absl::StatusOr<accounting::UsageQuery> ReadQuery(
    const Call& call, const v1::ListUsageRequest& request,
    const Limits& limits) {
  FieldErrors errors;
  const absl::Time now = SystemClock().WallTime();
  accounting::UsageQuery query = {
      .filter = ReadCounterFilter(request.filter(), call.scope(), errors),
      .bucket = ReadBucket(request.bucket(), errors),
      .time_zone = absl::UTCTimeZone(),
      .group_by_counter = request.group_by_counter(),
      .page_size = ReadPageSize(request.page_size(), limits, errors),
      .page_token = request.page_token()};
  if (!request.has_start_time()) errors.Add("start_time", "is needed");
  query.from = accounting::BucketOf(ReadTime(request.has_start_time(),
                                             request.start_time(), "start_time",
                                             now, errors));
  const absl::Time end =
      std::min(ReadTime(request.has_end_time(), request.end_time(), "end_time",
                        now, errors),
               now);
  query.to = accounting::BucketOf(end);
  if (query.to < end) query.to += accounting::kBucketWidth;
  if (!errors.Has("start_time") && !errors.Has("end_time") &&
      query.from >= query.to) {
    errors.Add("start_time", "must be before end_time, and not in the future");
  }
  if (!request.time_zone().empty() &&
      !absl::LoadTimeZone(request.time_zone(), &query.time_zone)) {
    errors.Add("time_zone",
               "is not known here; it must be a name such as "
               "'Europe/Berlin', and the server needs tzdata");
  }
  if (request.group_by_labels_size() > kMaxGroupLabels) {
    errors.Add("group_by_labels",
               absl::StrCat("has more than ", kMaxGroupLabels, " labels"));
  }
  query.group_by_labels.assign(request.group_by_labels().begin(),
                               request.group_by_labels().end());
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return query;
}

// The name of a gap's counter, empty if the gap concerns all counters. None if
// the filter does not match it.
absl::StatusOr<std::optional<std::string>> CounterOf(
    const accounting::Gap& gap, const accounting::CounterFilter& filter,
    const accounting::LabelStore& labels, accounting::LedgerReader& reader) {
  if (gap.account == 0) return std::string();
  NFM_ASSIGN_OR_RETURN(const auto stored, reader.FindAccount(gap.account));
  if (!stored.has_value()) return std::nullopt;
  std::string shown = accounting::ShownName(stored->account.name);
  if (!filter.Matches(shown, LabelsOf(*stored, labels))) return std::nullopt;
  return shown;
}

// The gaps of an answer. That a counter was deleted by others is told when it
// is missed, and again when it is back: here that is one gap.
class ShownGaps {
 public:
  explicit ShownGaps(v1::ListGapsResponse& response) : response_(response) {}

  void Add(const accounting::Gap& gap, const std::string& counter) {
    if (gap.cause == accounting::GapCause::kForeignDelete) {
      const auto [newest, first] =
          deletions_.try_emplace(gap.account, Deletion());
      if (!first && newest->second.until == gap.from) {
        newest->second.until = gap.to;
        service::ToProto(
            gap.to,
            response_.mutable_gaps(newest->second.place)->mutable_end_time());
        return;
      }
      newest->second = {response_.gaps_size(), gap.to};
    }
    service::ToProto(gap, counter, response_.add_gaps());
  }

 private:
  struct Deletion {
    int place = 0;
    absl::Time until;
  };

  v1::ListGapsResponse& response_;
  absl::flat_hash_map<uint64_t, Deletion> deletions_;  // by account
};

}  // namespace

UsageService::UsageService(Gate& gate, accounting::Ledger& ledger,
                           const accounting::LabelStore& labels,
                           StreamSet& streams, const Limits& limits)
    : GatedService(gate),
      ledger_(ledger),
      labels_(labels),
      limits_(limits),
      streams_(ledger, labels, streams) {
  Stream("CollectUsage", &UsageService::CollectUsage);
  Unary("ListUsage", &UsageService::ListUsage);
  Unary("ListGaps", &UsageService::ListGaps);
  Unary("ListConsumers", &UsageService::ListConsumers);
  Unary("DeleteConsumer", &UsageService::DeleteConsumer);
}

absl::Status UsageService::CollectUsage(
    const Call& call, const v1::CollectUsageRequest& request) {
  return streams_.Collect(call, request);
}

absl::Status UsageService::ListUsage(const Call& call,
                                     const v1::ListUsageRequest& request,
                                     v1::ListUsageResponse* response) {
  NFM_ASSIGN_OR_RETURN(const accounting::UsageQuery query,
                       ReadQuery(call, request, limits_));
  NFM_ASSIGN_OR_RETURN(
      const accounting::UsagePage page,
      accounting::ListUsage(
          ledger_, [this](absl::string_view name) { return labels_.Get(name); },
          query));
  for (const accounting::UsageRow& row : page.rows) {
    ToProto(row, response->add_rows());
  }
  response->set_next_page_token(page.next_page_token);
  return absl::OkStatus();
}

absl::Status UsageService::ListGaps(const Call& call,
                                    const v1::ListGapsRequest& request,
                                    v1::ListGapsResponse* response) {
  NFM_RETURN_IF_ERROR(accounting::CheckKept(ledger_));
  FieldErrors errors;
  const accounting::CounterFilter filter =
      ReadCounterFilter(request.filter(), call.scope(), errors);
  const absl::Time now = SystemClock().WallTime();
  const absl::Time from =
      ReadTime(request.has_start_time(), request.start_time(), "start_time",
               absl::UnixEpoch(), errors);
  const absl::Time to = ReadTime(request.has_end_time(), request.end_time(),
                                 "end_time", now, errors);
  const size_t page_size = ReadPageSize(request.page_size(), limits_, errors);
  if (from > to) errors.Add("start_time", "must be before end_time");
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  StableHash hash;
  hash.Add("gaps").Add(absl::ToUnixNanos(from));
  accounting::AddFilter(filter, hash);
  uint64_t after = 0;
  if (!request.page_token().empty()) {
    NFM_ASSIGN_OR_RETURN(
        const std::string position,
        accounting::ReadPageToken(request.page_token(), hash.value()));
    if (!absl::SimpleAtoi(position, &after)) after = 0;
  }
  NFM_ASSIGN_OR_RETURN(auto reader, ledger_.OpenReader());
  ShownGaps shown(*response);
  while (true) {
    NFM_ASSIGN_OR_RETURN(const auto gaps,
                         reader->Gaps(from, to, after, page_size));
    for (const auto& [number, gap] : gaps) {
      after = number;
      NFM_ASSIGN_OR_RETURN(const auto counter,
                           CounterOf(gap, filter, labels_, *reader));
      if (!counter.has_value()) continue;
      shown.Add(gap, *counter);
      if (static_cast<size_t>(response->gaps_size()) < page_size) continue;
      response->set_next_page_token(
          accounting::MakePageToken(hash.value(), absl::StrCat(after)));
      return absl::OkStatus();
    }
    if (gaps.size() < page_size) return absl::OkStatus();
  }
}

absl::Status UsageService::ListConsumers(
    const Call& call, const v1::ListConsumersRequest& /*request*/,
    v1::ListConsumersResponse* response) {
  NFM_RETURN_IF_ERROR(accounting::CheckKept(ledger_));
  const uint64_t newest = ledger_.sequence();
  response->mutable_newest()->set_epoch(ledger_.epoch());
  response->mutable_newest()->set_sequence(newest);
  for (const accounting::Consumer& consumer : ledger_.consumers().All()) {
    if (!call.scope().has_all() && consumer.owner != call.caller->principal) {
      continue;
    }
    v1::UsageConsumer* const proto = response->add_consumers();
    proto->set_name(consumer.name);
    proto->set_owner(consumer.owner);
    proto->mutable_acknowledged()->set_epoch(ledger_.epoch());
    proto->mutable_acknowledged()->set_sequence(consumer.sequence);
    proto->set_lag(newest - std::min(newest, consumer.sequence));
    service::ToProto(consumer.create_time, proto->mutable_create_time());
    if (consumer.ack_time != absl::InfinitePast()) {
      service::ToProto(consumer.ack_time, proto->mutable_acknowledge_time());
    }
    proto->set_connected(streams_.IsConnected(consumer.name));
  }
  return absl::OkStatus();
}

absl::Status UsageService::DeleteConsumer(
    const Call& call, const v1::DeleteConsumerRequest& request,
    v1::DeleteConsumerResponse* /*response*/) {
  NFM_RETURN_IF_ERROR(accounting::CheckKept(ledger_));
  if (request.name().empty()) {
    return InvalidFields({{"name", "is empty; name a consumer"}});
  }
  NFM_RETURN_IF_ERROR(ledger_.consumers().Remove(
      request.name(), call.caller->principal, call.scope().has_all()));
  streams_.End(request.name(),
               MakeError(absl::StatusCode::kAborted, "CONSUMER_DELETED",
                         "this consumer was deleted"));
  return ledger_.CommitConsumers();
}

}  // namespace nfmeter::service
