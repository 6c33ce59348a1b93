// SPDX-License-Identifier: Apache-2.0
#include "collector/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "google/protobuf/util/time_util.h"

namespace nfmeter::collector {
namespace {

// Rows of one transaction: enough that its commit costs little beside them.
constexpr int kRowsAtOnce = 50'000;

}  // namespace

Progress::Progress(std::string node, Lease lease, Sink& sink,
                   MayBeNode may_be_node)
    : node_(std::move(node)),
      lease_(lease),
      sink_(sink),
      may_be_node_(std::move(may_be_node)) {}

absl::StatusOr<std::optional<v1::UsagePosition>> Progress::Begin() {
  NFM_ASSIGN_OR_RETURN(const auto known, sink_.FindNode(node_));
  cursor_.reset();
  if (known.has_value()) cursor_ = known->cursor;
  return Resume();
}

std::optional<v1::UsagePosition> Progress::Resume() {
  resumed_ = cursor_.has_value();
  if (!resumed_) return std::nullopt;
  v1::UsagePosition position;
  position.set_epoch(cursor_->epoch);
  position.set_sequence(cursor_->sequence);
  if (cursor_->time != 0) {
    *position.mutable_time() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(
            cursor_->time);
  }
  return position;
}

absl::StatusOr<size_t> Progress::Store(
    absl::Span<const v1::UsageRecord> records) {
  const v1::UsageRecord& first = records.front();
  NFM_RETURN_IF_ERROR(LearnNode(first.node_id()));
  NFM_RETURN_IF_ERROR(CheckFirst(first));
  // A node's first record tells what was counted before, and that of a ledger
  // that was set back where it is now: either is stored alone, as of a batch
  // only the last totals are seen.
  const bool set_back = IsSetBack(first);
  const bool alone = set_back || !cursor_.has_value();
  size_t count = 1;
  int rows = first.counter_ids_size();
  while (!alone && count < records.size() && rows < kRowsAtOnce &&
         records[count].position().epoch() == first.position().epoch() &&
         records[count].node_id() == first.node_id() &&
         !records[count].full() &&
         records[count].position().sequence() ==
             records[count - 1].position().sequence() + 1) {
    rows += records[count++].counter_ids_size();
  }
  const v1::UsageRecord& last = records[count - 1];
  NFM_RETURN_IF_ERROR(sink_.Store({.node = node_,
                                   .lease = lease_,
                                   .expected = cursor_,
                                   .records = records.first(count),
                                   .set_back = set_back}));
  cursor_ = CursorAfter(last);
  resumed_ = true;
  return count;
}

absl::StatusOr<std::optional<v1::UsagePosition>> Progress::Meet(
    const std::string& node_id) {
  // A ledger that is not durable has no id; what streams of it say tells.
  if (!node_id.empty()) NFM_RETURN_IF_ERROR(LearnNode(node_id));
  return Resume();
}

// A name may have become another machine's, and a machine may have got another
// name: what counts is the node's id.
absl::Status Progress::LearnNode(const std::string& node_id) {
  if (cursor_.has_value() && cursor_->node_id == node_id) {
    return absl::OkStatus();
  }
  resumed_ = false;
  if (node_id.empty()) {
    return absl::DataLossError(
        absl::StrCat("'", node_, "' does not say which node it is"));
  }
  NFM_ASSIGN_OR_RETURN(const auto known, sink_.FindNodeById(node_id));
  if (!known.has_value()) {
    cursor_.reset();
    return absl::OkStatus();
  }
  if (known->name != node_ && may_be_node_(known->name, node_id)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "'", node_, "' and '", known->name, "' are the same node, ", node_id,
        ": they are one machine with two addresses, or one was cloned with the "
        "other's /var/lib/nfmeter; name one target only, or delete the state "
        "directory of the clone"));
  }
  cursor_ = known->cursor;
  return absl::OkStatus();
}

absl::Status Progress::CheckFirst(const v1::UsageRecord& first) const {
  if (first.full()) return absl::OkStatus();
  if (cursor_.has_value() && cursor_->epoch == first.position().epoch() &&
      cursor_->sequence + 1 == first.position().sequence()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      "record ", first.position().sequence(), " of '", node_,
      "' does not follow what is stored of it",
      cursor_.has_value() ? absl::StrCat(", record ", cursor_->sequence) : ""));
}

// A node that has other records there now, in the same epoch, has refused the
// position: what comes is full, and not because records were dropped.
bool Progress::IsSetBack(const v1::UsageRecord& first) const {
  if (!cursor_.has_value()) return false;
  const bool refused =
      resumed_ && first.full() &&
      std::none_of(first.gaps().begin(), first.gaps().end(),
                   [](const v1::UsageGap& gap) {
                     return gap.cause() == v1::USAGE_GAP_CAUSE_RECORDS_DROPPED;
                   });
  return refused || cursor_->epoch != first.position().epoch() ||
         cursor_->sequence >= first.position().sequence();
}

}  // namespace nfmeter::collector
