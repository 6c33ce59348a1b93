// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_census.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>

#include <string>

#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_exchange.h"

namespace nfmeter::kernel {
namespace {

constexpr int kCountings = 5;

struct Counted {
  std::optional<uint32_t> generation;
  size_t use = 0;
};

// The generation, and how much the table has in all.
absl::StatusOr<Counted> ReadUse(NetlinkSocket& socket) {
  Counted counted;
  int failure = 0;
  ExchangeNft(
      socket, 2,
      [](size_t i, uint32_t sequence, std::string& out) {
        if (i == 0) {
          AppendNftGetGeneration(sequence, out);
        } else {
          AppendNftGetTable(sequence, out);
        }
      },
      [&](size_t i, int err, const NftMessage* message) {
        if (message == nullptr) {
          // Without a table there is nothing in it.
          if (i == 0 || err != ENOENT) failure = err;
        } else if (i == 0) {
          counted.generation = ReadNftGeneration(message->attributes);
        } else if (const auto table = ReadNftTable(message->attributes)) {
          counted.use = table->use;
        }
      });
  if (failure != 0) {
    return ErrnoStatus(Operation::kNftRead, failure, "the counters' table");
  }
  return counted;
}

// What counts as in the table: rules count in their chains, and an anonymous
// set counts in its rule (nf_tables_commit()).
bool CountsInTable(const NftChainInfo& chain) {
  return chain.table == kNftTable;
}
bool CountsInTable(const NftSetInfo& set) {
  return set.table == kNftTable && (set.flags & NFT_SET_ANONYMOUS) == 0;
}

template <typename Info>
absl::StatusOr<size_t> CountInTable(NetlinkSocket& socket,
                                    void (*append)(uint32_t, std::string&),
                                    std::optional<Info> (*read)(ByteSpan)) {
  size_t count = 0;
  bool interrupted = false;
  const int err = DumpNft(
      socket, append,
      [&](const NftMessage& message) {
        const std::optional<Info> info = read(message.attributes);
        if (info.has_value() && CountsInTable(*info)) ++count;
      },
      [] {}, &interrupted);
  // Without the table, some kernels refuse to walk over its sets.
  if (err != 0 && err != ENOENT) {
    return ErrnoStatus(Operation::kNftRead, err, "the counters' table");
  }
  return count;
}

}  // namespace

absl::StatusOr<std::optional<size_t>> CountNftObjects(NetlinkSocket& socket) {
  for (int attempt = 0; attempt < kCountings; ++attempt) {
    NFM_ASSIGN_OR_RETURN(const Counted before, ReadUse(socket));
    NFM_ASSIGN_OR_RETURN(
        const size_t chains,
        CountInTable<NftChainInfo>(socket, AppendNftDumpChains, ReadNftChain));
    NFM_ASSIGN_OR_RETURN(
        const size_t sets,
        CountInTable<NftSetInfo>(socket, AppendNftDumpSets, ReadNftSet));
    NFM_ASSIGN_OR_RETURN(const Counted after, ReadUse(socket));
    if (before.generation.has_value() &&
        before.generation == after.generation && before.use == after.use &&
        before.use >= chains + sets) {
      return before.use - chains - sets;
    }
  }
  return std::nullopt;
}

}  // namespace nfmeter::kernel
