// SPDX-License-Identifier: Apache-2.0
// How far a node's records have come on the way into the sink.
#ifndef NFMETER_COLLECTOR_PROGRESS_H_
#define NFMETER_COLLECTOR_PROGRESS_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "collector/sink.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::collector {

// The part of the protocol that makes each record count once, without threads,
// network or clock: where a stream begins, what a batch may be, where the sink
// is afterwards. One for each stream of a node's. Not thread-safe.
class Progress {
 public:
  // Whether a target of this name is that node, or may be: names change hands.
  using MayBeNode =
      std::function<bool(const std::string& name, const std::string& node_id)>;

  // `sink` must outlive it.
  Progress(std::string node, Lease lease, Sink& sink, MayBeNode may_be_node);

  // Asks the sink where to begin. Absent: with a full record.
  absl::StatusOr<std::optional<v1::UsagePosition>> Begin();

  // Before a stream is begun: the node says that it is this one. Returns where
  // to begin. ALREADY_EXISTS: so is another target, whose stream another one
  // would end.
  absl::StatusOr<std::optional<v1::UsagePosition>> Meet(
      const std::string& node_id);

  // Stores the first records of `records` that may be stored together; how many
  // they were. After an error begin again. Beside the statuses of
  // Sink::Store():
  //   ALREADY_EXISTS  another target is the same node
  //   DATA_LOSS       the records do not go on where the sink is
  absl::StatusOr<size_t> Store(absl::Span<const v1::UsageRecord> records);

 private:
  std::optional<v1::UsagePosition> Resume();
  absl::Status LearnNode(const std::string& node_id);
  absl::Status CheckFirst(const v1::UsageRecord& first) const;
  bool IsSetBack(const v1::UsageRecord& first) const;

  const std::string node_;
  const Lease lease_;
  Sink& sink_;
  const MayBeNode may_be_node_;
  std::optional<Cursor> cursor_;  // where the sink is
  bool resumed_ = false;          // and the node knows that
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_PROGRESS_H_
