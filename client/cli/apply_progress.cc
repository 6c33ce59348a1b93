// SPDX-License-Identifier: Apache-2.0
#include "cli/apply_progress.h"

#include "absl/strings/str_cat.h"
#include "cli/quantity.h"

namespace nfmeter::cli {

ApplyProgress::ApplyProgress(Session& session, Client& client,
                             const std::string& plan)
    : progress_(session.console(), absl::StrCat("Applying plan ", plan)) {
  if (!session.console().err_is_terminal) return;
  // All plans: this one may not be there yet.
  watch_ = client.WatchPlanStatus("", WatchOptions());
  thread_ = std::thread([this, plan] { Follow(plan); });
}

ApplyProgress::~ApplyProgress() {
  if (watch_ == nullptr) return;
  watch_->Cancel();
  thread_.join();
}

// Without a stream (it is not permitted, or there are too many) the line tells
// the time alone.
void ApplyProgress::Follow(const std::string& plan) {
  while (true) {
    const absl::StatusOr<v1::PlanStatus> status = watch_->Next();
    if (!status.ok()) return;
    if (status->name() != plan ||
        status->state() != v1::PlanStatus::STATE_APPLYING) {
      continue;
    }
    progress_.Say(status->total() == 0
                      ? status->step()
                      : absl::StrCat(status->step(), ", ",
                                     FormatCount(status->done()), " of ",
                                     FormatCount(status->total())));
  }
}

}  // namespace nfmeter::cli
