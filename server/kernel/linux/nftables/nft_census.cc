// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_census.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>

#include <string>
#include <utility>

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
  int err = AskNft(socket, NftGetGeneration(), [&](ByteSpan attributes) {
    counted.generation = ReadNftGeneration(attributes);
  });
  if (err == 0) {
    err = AskNft(socket, NftGetTable(), [&](ByteSpan attributes) {
      const auto table = ReadNftTable(attributes);
      if (table.has_value()) counted.use = table->use;
    });
    // Without a table there is nothing in it.
    if (err == ENOENT) err = 0;
  }
  if (err == 0) return counted;
  return ErrnoStatus(Operation::kNftRead, err, "the counters' table");
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
absl::StatusOr<size_t> CountInTable(NetlinkSocket& socket, std::string question,
                                    std::optional<Info> (*read)(ByteSpan)) {
  size_t count = 0;
  // Without the table, some kernels refuse to walk over its sets.
  NFM_RETURN_IF_ERROR(
      ReadNftDump(socket, "the counters' table", std::move(question),
                  [&](const NftMessage& message) {
                    const auto info = read(message.attributes);
                    count += info.has_value() && CountsInTable(*info);
                  }));
  return count;
}

}  // namespace

absl::StatusOr<std::optional<size_t>> CountNftObjects(NetlinkSocket& socket) {
  for (int attempt = 0; attempt < kCountings; ++attempt) {
    NFM_ASSIGN_OR_RETURN(const Counted before, ReadUse(socket));
    NFM_ASSIGN_OR_RETURN(const size_t chains,
                         CountInTable(socket, NftDumpChains(), ReadNftChain));
    NFM_ASSIGN_OR_RETURN(const size_t sets,
                         CountInTable(socket, NftDumpSets(), ReadNftSet));
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
