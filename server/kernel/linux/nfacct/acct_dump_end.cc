// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_dump_end.h"

#include <algorithm>

#include "kernel/linux/nfacct/acct_codec.h"

namespace nfmeter::kernel {
namespace {

constexpr size_t kLargeNominal = 32 << 10;
constexpr size_t kSmallNominalMax = 8 << 10;

// sizeof(skb_shared_info) in cache lines: 320 on most kernels, 768 and up to a
// cache line with the largest CONFIG_MAX_SKB_FRAGS.
constexpr size_t kBookkeepingMin = 256;
constexpr size_t kBookkeepingMax = 1024;

}  // namespace

AcctDumpEnd::AcctDumpEnd(size_t page_bytes)
    : small_nominal_(std::min(page_bytes, kSmallNominalMax)) {}

void AcctDumpEnd::OnRecords(size_t datagram_bytes, size_t queued_bytes,
                            bool has_done) {
  last_ = datagram_bytes;
  last_is_large_ = queued_bytes >= kLargeNominal - kBookkeepingMax ||
                   datagram_bytes > small_nominal_ - kBookkeepingMin;
  largest_ = std::max(largest_, datagram_bytes);
  done_with_records_ = has_done;
}

bool AcctDumpEnd::Reached() const {
  if (done_with_records_) return true;
  const size_t fits = last_is_large_
                          ? std::max(kLargeNominal - kBookkeepingMax, largest_)
                          : small_nominal_ - kBookkeepingMax;
  return last_ + kAcctRecordMaxBytes <= fits;
}

}  // namespace nfmeter::kernel
