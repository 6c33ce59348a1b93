// SPDX-License-Identifier: GPL-3.0-or-later
// One reading of the flows, for all who wait for it.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_groups.h"
#include "accounting/flows/flow_listing.h"
#include "accounting/flows/flow_reading.h"
#include "kernel/flow_table.h"

namespace nfmeter::accounting {

// Flows of one list that may be kept; beyond it the next caller reads anew.
inline constexpr size_t kMostKeptFlows = 16'384;

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
  void Restart() {
    for (const auto& job : summaries_) job->groups.Clear();
  }

  // What the kernel may leave out for all of them.
  kernel::FlowDumpFilter ForKernel() const {
    std::optional<kernel::FlowDumpFilter> common;
    const auto add = [&common](const FlowFilter& filter) {
      const kernel::FlowDumpFilter one = filter.ForKernel();
      common = common.has_value() ? InCommon(*common, one) : one;
    };
    for (const auto& job : summaries_) add(job->query.filter);
    for (const FlowListJob& job : lists_) add(job.listing->filter());
    return common.value_or(kernel::FlowDumpFilter());
  }

  bool empty() const { return summaries_.empty() && lists_.empty(); }

  void Take(const kernel::FlowRecord& flow) {
    for (const auto& job : summaries_) {
      if (job->query.filter.Matches(flow)) job->groups.Add(flow, SumsOf(flow));
    }
    for (FlowListJob& job : lists_) {
      if (!job.listing->filter().Matches(flow)) continue;
      job.chunk.push_back(flow);
      ++job.flows;
      if (job.chunk.size() >= kFlowChunkRows) Flush(job);
    }
  }

  void Fail(const absl::Status& status) {
    for (const auto& job : summaries_) {
      job->answer = status;
      job->done.Notify();
    }
    for (FlowListJob& job : lists_) job.listing->Finish(status);
  }

  // Makes the answers; nobody is told yet.
  void Conclude(const FlowReading& reading) {
    for (const auto& job : summaries_) {
      job->answer = std::make_shared<const FlowSummary>(FlowSummary{
          .reading = reading,
          .ranking = job->groups.Rank(job->query.order, job->query.limit)});
      job->groups.Clear();
    }
    for (FlowListJob& job : lists_) {
      Flush(job);
      if (job.flows > kMostKeptFlows) job.kept.clear();
    }
  }

  // Hands them to those who wait.
  void Tell(const FlowReading& reading) {
    for (const auto& job : summaries_) job->done.Notify();
    for (FlowListJob& job : lists_) job.listing->Finish(reading);
  }

  // The list whose reader is furthest behind; null when nobody is.
  FlowListing* Slowest() const {
    const auto slowest =
        std::max_element(lists_.begin(), lists_.end(),
                         [](const FlowListJob& a, const FlowListJob& b) {
                           return a.listing->waiting() < b.listing->waiting();
                         });
    return slowest == lists_.end() || slowest->listing->waiting() == 0
               ? nullptr
               : slowest->listing.get();
  }

  const std::vector<std::shared_ptr<FlowSummaryJob>>& summaries() const {
    return summaries_;
  }

  std::vector<FlowListJob>& lists() { return lists_; }

 private:
  static void Flush(FlowListJob& job) {
    if (job.chunk.empty()) return;
    auto chunk = std::make_shared<const std::vector<kernel::FlowRecord>>(
        std::exchange(job.chunk, {}));
    if (job.keep_for > absl::ZeroDuration() && job.flows <= kMostKeptFlows) {
      job.kept.push_back(chunk);
    }
    job.listing->Put(std::move(chunk));
  }

  const std::vector<std::shared_ptr<FlowSummaryJob>> summaries_;
  std::vector<FlowListJob> lists_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_PASS_H_
