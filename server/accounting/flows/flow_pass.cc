// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_pass.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace nfmeter::accounting {
namespace {

// Flows of one list that may be kept; beyond it the next caller reads anew.
constexpr size_t kMostKeptFlows = 16'384;

}  // namespace

void FlowPass::Restart() {
  for (const auto& job : summaries_) job->groups.Clear();
}

kernel::FlowDumpFilter FlowPass::ForKernel() const {
  std::optional<kernel::FlowDumpFilter> common;
  const auto add = [&common](const FlowFilter& filter) {
    const kernel::FlowDumpFilter one = filter.ForKernel();
    common = common.has_value() ? InCommon(*common, one) : one;
  };
  for (const auto& job : summaries_) add(job->query.filter);
  for (const FlowListJob& job : lists_) add(job.listing->filter());
  return common.value_or(kernel::FlowDumpFilter());
}

void FlowPass::Take(const kernel::FlowRecord& flow) {
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

void FlowPass::Flush(FlowListJob& job) {
  if (job.chunk.empty()) return;
  auto chunk = std::make_shared<const std::vector<kernel::FlowRecord>>(
      std::exchange(job.chunk, {}));
  if (job.keep_for > absl::ZeroDuration() && job.flows <= kMostKeptFlows) {
    job.kept.push_back(chunk);
  }
  job.listing->Put(std::move(chunk));
}

void FlowPass::Fail(const absl::Status& status) {
  for (const auto& job : summaries_) {
    job->answer = status;
    job->done.Notify();
  }
  for (FlowListJob& job : lists_) job.listing->Finish(status);
}

void FlowPass::Conclude(const FlowReading& reading) {
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

void FlowPass::Tell(const FlowReading& reading) {
  for (const auto& job : summaries_) job->done.Notify();
  for (FlowListJob& job : lists_) job.listing->Finish(reading);
}

FlowListing* FlowPass::Slowest() const {
  const auto slowest =
      std::max_element(lists_.begin(), lists_.end(),
                       [](const FlowListJob& a, const FlowListJob& b) {
                         return a.listing->waiting() < b.listing->waiting();
                       });
  return slowest == lists_.end() || slowest->listing->waiting() == 0
             ? nullptr
             : slowest->listing.get();
}

}  // namespace nfmeter::accounting
