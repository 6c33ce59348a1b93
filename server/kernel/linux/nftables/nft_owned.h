// SPDX-License-Identifier: GPL-3.0-or-later
// Chains and maps of an owner, as nf_tables keeps them: compiled, read and
// compared.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/owned_chains.h"

namespace nfmeter::kernel {

// A chain of the API's, "NFM-..." in a table of a family, is one of our table;
// where it is hooked it is a base chain, next to those of single rules.
struct NftOwnedPlace {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  std::string name;  // of the API

  // What the kernel calls it.
  std::string KernelName() const;
};

// How a chain is to be.
struct NftWantedChain {
  NftOwnedPlace place;
  std::optional<NftHook> hook;
  std::vector<NftRule> rules;
  std::vector<std::string> texts;  // of the rules, as nft prints them
  // What it is made of, rule by rule.
  const OwnedChain* chain = nullptr;
};

// The bytes of a key as they lie in the register, from those in network order;
// and back.
std::string NftKeyInRegister(std::string bytes, bool host_order);

// A map from keys to counters, or to the quotas beside those; or a set of the
// pairs that a map does not count.
struct NftWantedMap {
  NftOwnedPlace place;
  NftBatch::Map map;
  std::vector<NftBatch::MapElement> elements;  // by rising key
  // What it is made of; null: it counts nothing.
  const OwnedMap* counters = nullptr;
};

struct NftWanted {
  std::vector<NftWantedChain> chains;
  std::vector<NftWantedMap> maps;
};

// Statuses as CompileNftRule(). INVALID_ARGUMENT, RULE_REFUSED: a cgroup that
// is not there. CHAIN_NOT_FOUND: a hook in a chain that is not the kernel's
// own.
// Refers to the edit.
absl::StatusOr<NftWanted> CompileNftOwned(const OwnedEdit& edit);

// How they are.
struct NftFoundChain {
  NftOwnedPlace place;
  std::optional<NftHook> hook;
  std::string hook_type;  // that NftHook::type refers to
  std::vector<uint64_t> handles;
  std::vector<NftRuleBytes> rules;
  std::vector<Rule> read;  // the same in the API's words
};

struct NftFoundMap {
  NftOwnedPlace place;
  NftBatch::Map map;
  std::vector<NftBatch::MapElement> elements;  // by rising key
};

struct NftFound {
  std::vector<NftFoundChain> chains;
  std::vector<NftFoundMap> maps;
};

// Elements of maps, by the kernel's name, that need not be read.
using NftKnownElements =
    absl::flat_hash_map<std::string, std::vector<NftBatch::MapElement>>;

// What there is of an owner: `prefix` is what the names of its chains and maps
// begin with. Of one moment only if the generation is the same before and
// after.
absl::StatusOr<NftFound> ReadNftOwned(NetlinkSocket& socket,
                                      absl::string_view prefix,
                                      const NftKnownElements* known);

// What makes things as they are wanted. Refers to what was wanted.
struct NftOwnedChange {
  // What goes, chains that come, elements of maps that stay. Behind it new
  // maps, and then rules, which may look into them.
  NftBatch batch;
  std::vector<const NftWantedMap*> new_maps;
  // Those of which elements come or go, by the kernel's names; and those of
  // them where that must not be, see NftMovedMaps().
  absl::flat_hash_set<std::string> changed_maps;
  absl::flat_hash_set<std::string> moved_maps;
  // No longer wanted: to go when no packet looks into them any more.
  std::vector<std::string> old_maps;
  bool takes_rules = false;                   // some that are there go
  std::vector<const NftWantedChain*> filled;  // get all their rules
  // What a message of the batch is about, for errors; empty: nothing that
  // people know.
  std::vector<std::string> subjects;
  std::vector<OwnedDifference> differences;

  void AddMaps();
  void AddRules();
};

// `start`: a batch that begins with the table.
NftOwnedChange CompareNftOwned(const NftWanted& wanted, const NftFound& found,
                               NftBatch start);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_H_
