// SPDX-License-Identifier: GPL-3.0-or-later
// One reading of the flows, for all who wait for it.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_groups.h"
#include "accounting/flows/flow_listing.h"
#include "accounting/flows/flow_reading.h"
#include "kernel/flow_table.h"

namespace nfmeter::accounting {

// A summary that somebody waits for; several who ask the same share it.
struct FlowSummaryJob {
  FlowSummaryJob(const FlowQuery& asked, absl::Duration keep, size_t max_groups)
      : query(asked), keep_for(keep), groups(asked.grouping, max_groups) {}

  const FlowQuery query;
  absl::Duration keep_for;  // the longest staleness of those who asked
  FlowGroups groups;
  absl::StatusOr<std::shared_ptr<const FlowSummary>> answer;
  absl::Notification done;  // `answer` is set, and kept where it is to be
};

// A list that somebody waits for.
struct FlowListJob {
  std::shared_ptr<FlowListing> listing;
  absl::Duration keep_for;
  std::vector<kernel::FlowRecord> chunk;  // that is being filled
  std::vector<FlowChunk> kept;            // where it is to be kept
  size_t flows = 0;
};

// Everything that one dump is to answer. Takes the flows in and hands them out.
// Not thread-safe.
class FlowPass {
 public:
  FlowPass(std::vector<std::shared_ptr<FlowSummaryJob>> summaries,
           std::vector<FlowListJob> lists)
      : summaries_(std::move(summaries)), lists_(std::move(lists)) {}

  // Lists can't be begun again: what was sent was sent.
  bool CanRestart() const { return lists_.empty(); }
  void Restart();

  // What the kernel may leave out for all of them.
  kernel::FlowDumpFilter ForKernel() const;
  bool empty() const { return summaries_.empty() && lists_.empty(); }

  void Take(const kernel::FlowRecord& flow);
  void Fail(const absl::Status& status);
  // Makes the answers; nobody is told yet.
  void Conclude(const FlowReading& reading);
  // Hands them to those who wait.
  void Tell(const FlowReading& reading);

  // The list whose reader is furthest behind; null when nobody is.
  FlowListing* Slowest() const;

  const std::vector<std::shared_ptr<FlowSummaryJob>>& summaries() const {
    return summaries_;
  }
  std::vector<FlowListJob>& lists() { return lists_; }

 private:
  static void Flush(FlowListJob& job);

  const std::vector<std::shared_ptr<FlowSummaryJob>> summaries_;
  std::vector<FlowListJob> lists_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_
