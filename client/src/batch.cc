// SPDX-License-Identifier: Apache-2.0
#include "client/src/batch.h"

namespace nfmeter::client_internal {

std::vector<BatchPart> SplitBatch(size_t count,
                                  absl::FunctionRef<size_t(size_t)> size_of,
                                  const Connection::BatchLimits& limits) {
  const size_t max_bytes = limits.max_bytes > kRequestOverhead
                               ? limits.max_bytes - kRequestOverhead
                               : 0;
  std::vector<BatchPart> parts = {{0, 0}};
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = size_of(i) + kItemOverhead;
    BatchPart& part = parts.back();
    const size_t items = part.last - part.first;
    if (items > 0 && (items >= limits.max_items || bytes + size > max_bytes)) {
      parts.push_back({i, i});
      bytes = 0;
    }
    parts.back().last = i + 1;
    bytes += size;
  }
  return parts;
}

}  // namespace nfmeter::client_internal
