// SPDX-License-Identifier: Apache-2.0
// Which collector follows which nodes.
#ifndef NFMETER_COLLECTOR_SHARDS_H_
#define NFMETER_COLLECTOR_SHARDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::collector {

// 0 to kShards - 1; the same in all versions.
int ShardOf(absl::string_view node);

// Shards that belong to `self` among the collectors that live, by rendezvous
// hashing: when one comes or goes, only its shards move. In order.
std::vector<int> ShardsOf(absl::string_view self,
                          absl::Span<const std::string> collectors);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_SHARDS_H_
