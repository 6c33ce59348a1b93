// SPDX-License-Identifier: GPL-3.0-or-later
// nf_tables by libmnl and nothing else: the floor that the server is held
// against.
#ifndef NFMETER_TESTS_BENCH_BARE_NFT_H_
#define NFMETER_TESTS_BENCH_BARE_NFT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/bench/bare_netlink.h"

namespace nfmeter::bench {

// Not thread-safe.
class BareNft {
 public:
  static absl::StatusOr<std::unique_ptr<BareNft>> Open();

  // A table "bare" with these counters, all in one transaction. Each has its
  // name as a comment, as the server gives it.
  absl::Status Create(absl::Span<const std::string> names);
  // Deletes it.
  absl::Status Delete();

  // One dump of the counters of the server's table, with a 256 KiB buffer
  // (messages have 32 KiB); every attribute is parsed and summed, so that
  // nothing is optimised away. Number of counters.
  absl::StatusOr<size_t> Dump();

 private:
  explicit BareNft(std::unique_ptr<BareNetlink> netlink)
      : netlink_(std::move(netlink)) {}

  absl::Status SendBatch(const std::vector<char>& batch, size_t used);

  const std::unique_ptr<BareNetlink> netlink_;
  uint32_t sequence_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_BARE_NFT_H_
