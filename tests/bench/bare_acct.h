// SPDX-License-Identifier: GPL-3.0-or-later
// nfacct by libmnl and nothing else: the floor that the server is held against.
#ifndef NFMETER_TESTS_BENCH_BARE_ACCT_H_
#define NFMETER_TESTS_BENCH_BARE_ACCT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/bench/bare_netlink.h"

namespace nfmeter::bench {

// Not thread-safe.
class BareAcct {
 public:
  static absl::StatusOr<std::unique_ptr<BareAcct>> Open();

  // Creates all, as many messages a send as 8 KiB hold.
  absl::Status Create(absl::Span<const std::string> names);

  // One dump with a 256 KiB buffer; every attribute is parsed and summed, so
  // that nothing is optimised away. Number of objects.
  absl::StatusOr<size_t> Dump();

  // The same, but only looks at where each message ends: what a dump costs
  // beside what its reader makes of it.
  absl::StatusOr<size_t> Receive();

  // Deletes everything that nobody holds.
  absl::Status Flush();

 private:
  explicit BareAcct(std::unique_ptr<BareNetlink> netlink)
      : netlink_(std::move(netlink)) {}

  absl::Status AwaitAcks(size_t count);

  const std::unique_ptr<BareNetlink> netlink_;
  uint32_t sequence_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_BARE_ACCT_H_
