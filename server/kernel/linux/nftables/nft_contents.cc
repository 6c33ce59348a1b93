// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_contents.h"

#include <errno.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// Of a chain that others keep changing.
constexpr int kAttempts = 10;

// Rules as bytes: sets are read on the same socket, once the dump has ended.
struct RuleBytes {
  uint64_t handle = 0;
  std::string expressions;
  std::string userdata;
};

ByteSpan SpanOf(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

std::string StringOf(ByteSpan span) { return {span.begin(), span.end()}; }

// How many rules and jumps the chain has; nullopt: there is no such chain.
absl::StatusOr<std::optional<uint32_t>> ReadUse(NetlinkSocket& socket,
                                                const std::string& chain) {
  std::optional<uint32_t> use;
  const int err = AskNft(socket, NftGetChain(chain), [&](ByteSpan attributes) {
    const auto info = ReadNftChain(attributes);
    if (info.has_value()) use = info->use;
  });
  if (err == 0 || err == ENOENT) return use;
  return ErrnoStatus(Operation::kNftRead, err, chain);
}

absl::StatusOr<std::deque<RuleBytes>> ReadRules(NetlinkSocket& socket,
                                                const std::string& chain) {
  std::deque<RuleBytes> rules;
  NFM_RETURN_IF_ERROR(ReadNftDump(
      socket, chain, NftDumpRules(chain), [&](const NftMessage& message) {
        if (message.kind != NftMessage::Kind::kRule) return;
        const auto info = ReadNftRule(message.attributes);
        // Old kernels hand out the rules of other chains, too.
        if (!info.has_value() || info->chain != chain) return;
        rules.push_back({info->handle, StringOf(info->expressions),
                         StringOf(info->userdata)});
      }));
  return rules;
}

std::optional<std::vector<NftElement>> ReadElements(NetlinkSocket& socket,
                                                    const std::string& set) {
  std::vector<NftElement> elements;
  const NftDumpEnd end =
      DumpNft(socket, NftDumpElements(set), [&](const NftMessage& message) {
        ReadNftElements(message.attributes, elements);
      });
  if (end.err != 0) return std::nullopt;
  return elements;
}

// One chain, whose rules are as many as it says; a dump that lacks some is
// repeated. It says what a transaction that is not committed yet adds, too.
absl::Status ReadChain(NetlinkSocket& socket, NftContents& out, size_t index) {
  Chain& chain = out.table.chains[index];
  const std::string name =
      NftChainName(out.table.family, out.table.table, chain.name);
  absl::Duration pause = kNftFirstPause;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) {
      absl::SleepFor(pause);
      pause = std::min(2 * pause, kNftLongestPause);
    }
    NFM_ASSIGN_OR_RETURN(const std::optional<uint32_t> use,
                         ReadUse(socket, name));
    out.exists[index] = use.has_value();
    if (!use.has_value()) return absl::OkStatus();
    NFM_ASSIGN_OR_RETURN(const std::deque<RuleBytes> rules,
                         ReadRules(socket, name));
    // Jumps to a chain of a plan count as rules of it.
    if (chain.builtin ? rules.size() != *use : rules.size() > *use) continue;
    chain.references = *use - static_cast<uint32_t>(rules.size());
    for (const RuleBytes& rule : rules) {
      const NftRuleInfo info = {.chain = name,
                                .handle = rule.handle,
                                .expressions = SpanOf(rule.expressions),
                                .userdata = SpanOf(rule.userdata)};
      chain.rules.push_back(ReadNftRuleOf(
          out.table.family, out.table.table, chain.name, info,
          [&](const std::string& set) { return ReadElements(socket, set); }));
      out.handles[index].push_back(rule.handle);
    }
    return absl::OkStatus();
  }
  return ErrnoStatus(Operation::kNftRead, ERESTART, name);
}

// Adds the chains of plans, without their rules.
absl::Status AddOwnedChains(NetlinkSocket& socket, TableContents& out) {
  const std::string before = NftChainName(out.family, out.table, "");
  return ReadNftDump(socket, TableName(out.table), NftDumpChains(),
                     [&](const NftMessage& message) {
                       const auto info = ReadNftChain(message.attributes);
                       if (!info.has_value() || info->table != kNftTable)
                         return;
                       absl::string_view name = info->name;
                       if (absl::ConsumePrefix(&name, before) &&
                           absl::StartsWith(name, kOwnedChainPrefix)) {
                         out.chains.push_back({.name = std::string(name)});
                       }
                     });
}

}  // namespace

absl::StatusOr<NftContents> ReadNftContents(NetlinkSocket& socket,
                                            const AcctNames& names,
                                            Family family, Table table) {
  NftContents contents{.table = EmptyTable(family, table)};
  NFM_RETURN_IF_ERROR(AddOwnedChains(socket, contents.table));
  contents.handles.resize(contents.table.chains.size());
  contents.exists.resize(contents.table.chains.size());
  for (size_t i = 0; i < contents.table.chains.size(); ++i) {
    NFM_RETURN_IF_ERROR(ReadChain(socket, contents, i));
    for (Rule& rule : contents.table.chains[i].rules) {
      ResolveHash(names, rule.counter);
      for (std::string& other : rule.other_counters) ResolveHash(names, other);
    }
  }
  NumberRules(contents.table);
  return contents;
}

}  // namespace nfmeter::kernel
