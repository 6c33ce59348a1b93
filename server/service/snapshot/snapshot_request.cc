// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_request.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "accounting/common/counter_filter.h"
#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

constexpr absl::Duration kDefaultInterval = absl::Seconds(1);
constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(10);

v1::SnapshotView ReadView(v1::SnapshotView view, FieldErrors& errors) {
  switch (view) {
    case v1::SNAPSHOT_VIEW_UNSPECIFIED:
      return v1::SNAPSHOT_VIEW_ROWS;
    case v1::SNAPSHOT_VIEW_ROWS:
    case v1::SNAPSHOT_VIEW_COLUMNS:
      return view;
    default:
      errors.Add("view", absl::StrCat("is ", static_cast<int>(view),
                                      ", which this server does not know; "
                                      "write SNAPSHOT_VIEW_ROWS or "
                                      "SNAPSHOT_VIEW_COLUMNS"));
      return v1::SNAPSHOT_VIEW_ROWS;
  }
}

absl::Duration ReadDurationOr(absl::Duration default_,
                              const google::protobuf::Duration& proto,
                              const std::string& field, FieldErrors& errors) {
  const absl::Duration read =
      ReadDuration(proto, field, absl::FormatDuration(default_), errors);
  return read == absl::ZeroDuration() ? default_ : read;
}

template <typename Request>
SnapshotForm ReadForm(const Request& request, FieldErrors& errors) {
  const std::vector<std::string> keys(request.label_keys().begin(),
                                      request.label_keys().end());
  if (keys.size() > kMaxLabels) {
    errors.Add("label_keys", absl::StrCat("has ", keys.size(),
                                          " keys; at most ", kMaxLabels));
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].empty() || keys[i].size() > accounting::kMaxLabelKeyBytes) {
      errors.Add(Indexed("label_keys", i),
                 absl::StrCat("must be 1 to ", accounting::kMaxLabelKeyBytes,
                              " bytes"));
    }
  }
  const v1::SnapshotView view = ReadView(request.view(), errors);
  // ROWS have all labels and totals anyway.
  if (view == v1::SNAPSHOT_VIEW_ROWS) return {.view = view};
  return {.view = view, .label_keys = keys, .totals = request.totals()};
}

}  // namespace

absl::StatusOr<SnapshotQuery> ReadSnapshotQuery(
    const v1::GetSnapshotRequest& request,
    const accounting::CounterScope& scope) {
  FieldErrors errors;
  SnapshotQuery query{
      .filter = ReadCounterFilter(request.filter(), scope, errors),
      .form = ReadForm(request, errors),
      .max_staleness = ReadMaxStaleness(request.max_staleness(), errors)};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return query;
}

absl::StatusOr<SnapshotWatch> ReadSnapshotWatch(
    const v1::WatchSnapshotsRequest& request,
    const accounting::CounterScope& scope, absl::Duration min_interval) {
  FieldErrors errors;
  SnapshotWatch watch{
      .filter = ReadCounterFilter(request.filter(), scope, errors),
      .form = ReadForm(request, errors),
      .interval = std::max(ReadDurationOr(kDefaultInterval, request.interval(),
                                          "interval", errors),
                           min_interval),
      .changed_only = request.changed_only(),
      .heartbeat = ReadDurationOr(kDefaultHeartbeat, request.heartbeat(),
                                  "heartbeat", errors),
      .resume_epoch = request.resume_after().epoch(),
      .resume_sequence = request.resume_after().sequence()};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  watch.heartbeat = std::max(watch.heartbeat, watch.interval);
  return watch;
}

}  // namespace nfmeter::service
