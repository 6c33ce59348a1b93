// SPDX-License-Identifier: GPL-3.0-or-later
// Flows by the hundred thousand in this network namespace, and what programs
// cost: what the benches of flows have in common.
#ifndef NFMETER_TESTS_BENCH_MANY_FLOWS_H_
#define NFMETER_TESTS_BENCH_MANY_FLOWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace nfmeter::bench {

inline constexpr uint16_t kFlowPort = 9'000;
// Of each packet: 32 of payload, and the headers of UDP and IPv4.
inline constexpr size_t kFlowPacketBytes = 60;

// UDP over loopback from 127.1.0.0 + number to 127.0.0.1, where somebody
// listens and nobody reads.
class FlowSender {
 public:
  static absl::StatusOr<std::unique_ptr<FlowSender>> Open();

  // One packet of flow `number`.
  absl::Status Send(uint32_t number);

 private:
  FlowSender() = default;

  UniqueFd sink_;
  UniqueFd socket_;
};

// Wakes connection tracking, with counters and start times, and with flows that
// stay. IPv4 only.
absl::Status WakeConntrack();

// As many flows, of one packet each and of 256 to a /24.
absl::Status MakeFlows(size_t count);

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_MANY_FLOWS_H_
