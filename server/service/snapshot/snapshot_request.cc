#include "service/snapshot/snapshot_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/counter/validate_counter.h"
#include "service/gate/field_errors.h"
#include "service/gate/request_checks.h"

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

// 0 means the default.
absl::Duration ReadDuration(const google::protobuf::Duration& proto,
                            const std::string& field, absl::Duration default_,
                            FieldErrors& errors) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // see duration.proto
  if (proto.seconds() < 0 || proto.nanos() < 0) {
    errors.Add(field, absl::StrCat("is negative; write 0 for ",
                                   absl::FormatDuration(default_),
                                   ", or a positive duration"));
    return default_;
  }
  if (proto.nanos() > 999'999'999 || proto.seconds() > kMaxSeconds) {
    errors.Add(field, "is not a valid duration");
    return default_;
  }
  const absl::Duration duration =
      absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
  return duration == absl::ZeroDuration() ? default_ : duration;
}

}  // namespace

absl::StatusOr<SnapshotQuery> ReadSnapshotQuery(
    const v1::GetSnapshotRequest& request,
    const accounting::CounterScope& scope) {
  FieldErrors errors;
  SnapshotQuery query{
      .filter = ReadCounterFilter(request.filter(), scope, errors),
      .view = ReadView(request.view(), errors),
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
      .view = ReadView(request.view(), errors),
      .interval = std::max(ReadDuration(request.interval(), "interval",
                                        kDefaultInterval, errors),
                           min_interval),
      .changed_only = request.changed_only(),
      .heartbeat = ReadDuration(request.heartbeat(), "heartbeat",
                                kDefaultHeartbeat, errors),
      .resume_epoch = request.resume_after().epoch(),
      .resume_sequence = request.resume_after().sequence()};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  watch.heartbeat = std::max(watch.heartbeat, watch.interval);
  return watch;
}

}  // namespace nfmeter::service
