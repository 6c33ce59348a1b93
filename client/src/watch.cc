// SPDX-License-Identifier: Apache-2.0
#include "nfmeter/watch.h"

#include <utility>

#include "client/src/plan_stream.h"
#include "client/src/quota_stream.h"
#include "client/src/snapshot_stream.h"

namespace nfmeter {

const CounterRow* SnapshotFrame::Find(absl::string_view name) const {
  for (const CounterRow& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

SnapshotWatch::SnapshotWatch(
    std::unique_ptr<client_internal::SnapshotStream> stream)
    : stream_(std::move(stream)) {}
SnapshotWatch::~SnapshotWatch() = default;
absl::StatusOr<SnapshotFrame> SnapshotWatch::Next() { return stream_->Next(); }
void SnapshotWatch::Cancel() { stream_->Cancel(); }

QuotaWatch::QuotaWatch(std::unique_ptr<client_internal::QuotaStream> stream)
    : stream_(std::move(stream)) {}
QuotaWatch::~QuotaWatch() = default;
absl::StatusOr<QuotaEvent> QuotaWatch::Next() { return stream_->Next(); }
void QuotaWatch::Cancel() { stream_->Cancel(); }

PlanWatch::PlanWatch(std::unique_ptr<client_internal::PlanStream> stream)
    : stream_(std::move(stream)) {}
PlanWatch::~PlanWatch() = default;
absl::StatusOr<v1::PlanStatus> PlanWatch::Next() { return stream_->Next(); }
void PlanWatch::Cancel() { stream_->Cancel(); }

}  // namespace nfmeter
