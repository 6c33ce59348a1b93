// SPDX-License-Identifier: GPL-3.0-or-later
// SnapshotService's requests -> what is wanted.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_REQUEST_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/common/counter_filter.h"
#include "nfmeter/v1/snapshot.pb.h"

namespace nfmeter::service {

// How frames show counters.
struct SnapshotForm {
  v1::SnapshotView view = v1::SNAPSHOT_VIEW_ROWS;
  // Of labels that go with new names; view COLUMNS.
  std::vector<std::string> label_keys;
  bool totals = false;  // view COLUMNS; ROWS has them

  friend bool operator==(const SnapshotForm&, const SnapshotForm&) = default;
};

struct SnapshotQuery {
  accounting::CounterFilter filter;
  SnapshotForm form;
  absl::Duration max_staleness;
};

struct SnapshotWatch {
  accounting::CounterFilter filter;
  SnapshotForm form;
  absl::Duration interval;
  bool changed_only = false;
  absl::Duration heartbeat;
  // The last snapshot that an earlier stream received; epoch 0: none.
  uint64_t resume_epoch = 0;
  uint64_t resume_sequence = 0;
};

// `scope` is the caller's. INVALID_ARGUMENT names all that is wrong.
absl::StatusOr<SnapshotQuery> ReadSnapshotQuery(
    const v1::GetSnapshotRequest& request,
    const accounting::CounterScope& scope);
absl::StatusOr<SnapshotWatch> ReadSnapshotWatch(
    const v1::WatchSnapshotsRequest& request,
    const accounting::CounterScope& scope, absl::Duration min_interval);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_REQUEST_H_
