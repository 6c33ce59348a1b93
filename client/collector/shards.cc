// SPDX-License-Identifier: Apache-2.0
#include "collector/shards.h"

#include <cstdint>

#include "collector/sink.h"

namespace nfmeter::collector {
namespace {

// FNV-1a, and the finalizer of MurmurHash3, without which hashes of names that
// differ in the last letter alone lie close together.
uint64_t Hash(absl::string_view text, uint64_t seed = 0) {
  uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}

}  // namespace

int ShardOf(absl::string_view node) {
  return static_cast<int>(Hash(node) % kShards);
}

std::vector<int> ShardsOf(absl::string_view self,
                          absl::Span<const std::string> collectors) {
  std::vector<int> shards;
  for (int shard = 0; shard < kShards; ++shard) {
    const uint64_t seed = Hash(std::to_string(shard));
    absl::string_view best = self;
    uint64_t most = Hash(self, seed);
    for (const std::string& other : collectors) {
      const uint64_t weight = Hash(other, seed);
      if (weight > most || (weight == most && other < best)) {
        best = other;
        most = weight;
      }
    }
    if (best == self) shards.push_back(shard);
  }
  return shards;
}

}  // namespace nfmeter::collector
