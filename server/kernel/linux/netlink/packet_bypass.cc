// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/packet_bypass.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/name_escape.h"
#include "kernel/linux/netlink/nf_tables_dump.h"

namespace nfmeter::kernel {
namespace {

// How many flowtables or chains a notice names.
constexpr size_t kMostNamed = 3;

// Whether IP packets pass chains of this family.
bool SeesPackets(uint8_t family) {
  return family == NFPROTO_INET || family == NFPROTO_IPV4 ||
         family == NFPROTO_IPV6;
}

struct BaseChain {
  uint8_t family = 0;
  std::string table;
  std::string name;
  int32_t priority = 0;
  bool drops = false;  // by its policy
};

// Whether rules that count may be at this hook.
bool IsCountingHook(uint32_t hook) {
  return hook == NF_INET_LOCAL_IN || hook == NF_INET_FORWARD ||
         hook == NF_INET_LOCAL_OUT;
}

std::vector<BaseChain> EarlierChains(NfTablesDump& dump, int priority,
                                     absl::string_view own_table) {
  std::vector<BaseChain> chains;
  dump.Run(NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, "", "",
           [&](uint8_t family, const Attributes& chain) {
             if (!SeesPackets(family) || !chain.Has(NFTA_CHAIN_HOOK)) return;
             const Attributes hook(chain[NFTA_CHAIN_HOOK]);
             BaseChain found = {
                 .family = family,
                 .table = std::string(chain.Text(NFTA_CHAIN_TABLE)),
                 .name = std::string(chain.Text(NFTA_CHAIN_NAME)),
                 .priority = static_cast<int32_t>(hook.U32(NFTA_HOOK_PRIORITY)),
                 .drops = chain.Has(NFTA_CHAIN_POLICY) &&
                          chain.U32(NFTA_CHAIN_POLICY) == NF_DROP};
             if (IsCountingHook(hook.U32(NFTA_HOOK_HOOKNUM)) &&
                 found.priority < priority && found.table != own_table) {
               chains.push_back(std::move(found));
             }
           });
  return chains;
}

// Whether an expression ends the packet's way, or leads to where that may be.
bool MayDrop(const Attributes& expression) {
  const absl::string_view name = expression.Text(NFTA_EXPR_NAME);
  if (name == "reject") return true;
  if (name != "immediate") return false;
  const Attributes immediate(expression[NFTA_EXPR_DATA]);
  const Attributes data(immediate[NFTA_IMMEDIATE_DATA]);
  if (!data.Has(NFTA_DATA_VERDICT)) return false;
  const Attributes verdict(data[NFTA_DATA_VERDICT]);
  switch (static_cast<int32_t>(verdict.U32(NFTA_VERDICT_CODE))) {
    case NF_DROP:
    case NFT_JUMP:
    case NFT_GOTO:
      return true;
    default:
      return false;
  }
}

bool HasDrop(NfTablesDump& dump, const BaseChain& chain) {
  bool drops = chain.drops;
  dump.Run(NFT_MSG_GETRULE, chain.family, chain.table, chain.name,
           [&](uint8_t, const Attributes& rule) {
             AttributeReader expressions(rule[NFTA_RULE_EXPRESSIONS]);
             while (expressions.Next()) {
               drops |= MayDrop(Attributes(expressions.payload()));
             }
           });
  return drops;
}

}  // namespace

std::vector<std::string> LookForBypasses(int priority,
                                         absl::string_view own_table) {
  std::vector<std::string> notices;
  NfTablesDump dump;
  std::vector<std::string> flowtables;
  dump.Run(NFT_MSG_GETFLOWTABLE, NFPROTO_UNSPEC, "", "",
           [&](uint8_t family, const Attributes& table) {
             if (!SeesPackets(family)) return;
             flowtables.push_back(
                 absl::StrCat(NfTablesFamily(family), " ",
                              EscapeName(table.Text(NFTA_FLOWTABLE_TABLE)), " ",
                              EscapeName(table.Text(NFTA_FLOWTABLE_NAME))));
           });
  if (!flowtables.empty()) {
    notices.push_back(absl::StrCat(
        "Flowtables are in use (", FirstOf(flowtables, kMostNamed),
        "): forwarded flows that they take skip the rules, and counters of "
        "forwarded traffic miss them after their first packets. Count such "
        "traffic by 'nfmeter flow', and with the flag 'counter' in the "
        "flowtable."));
  }
  std::vector<std::string> chains;
  for (const BaseChain& chain : EarlierChains(dump, priority, own_table)) {
    if (!HasDrop(dump, chain)) continue;
    chains.push_back(absl::StrCat(
        NfTablesFamily(chain.family), " ", EscapeName(chain.table), " ",
        EscapeName(chain.name), " at priority ", chain.priority));
  }
  if (!chains.empty()) {
    notices.push_back(absl::StrCat(
        "Chains of nf_tables come before the rules that count and may drop "
        "packets (",
        FirstOf(chains, kMostNamed), "): what they drop is not counted."));
  }
  return notices;
}

}  // namespace nfmeter::kernel
