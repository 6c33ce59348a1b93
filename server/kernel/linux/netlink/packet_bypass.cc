// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/packet_bypass.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/name_escape.h"
#include "kernel/linux/netlink/nf_tables_dump.h"

namespace nfmeter::kernel {
namespace {

// Of each kind, those that are named.
constexpr size_t kMostNamed = 3;

// Those that IP packets pass.
bool SeesPackets(uint8_t family) {
  return family == NFPROTO_INET || family == NFPROTO_IPV4 ||
         family == NFPROTO_IPV6;
}

std::string TextOf(const nlattr* attribute) {
  return attribute == nullptr ? "" : mnl_attr_get_str(attribute);
}

uint32_t NumberOf(const nlattr* attribute) {
  return attribute == nullptr ? 0 : ntohl(mnl_attr_get_u32(attribute));
}

// Attributes of one level, by type.
class Attributes {
 public:
  void Add(const nlattr* attribute) {
    const uint16_t type = mnl_attr_get_type(attribute);
    if (type < found_.size()) found_[type] = attribute;
  }
  const nlattr* operator[](size_t type) const { return found_[type]; }

 private:
  std::array<const nlattr*, 32> found_{};
};

int AddAttribute(const nlattr* attribute, void* attributes) {
  static_cast<Attributes*>(attributes)->Add(attribute);
  return MNL_CB_OK;
}

Attributes AttributesOf(const nlmsghdr* header) {
  Attributes attributes;
  mnl_attr_parse(header, sizeof(nfgenmsg), AddAttribute, &attributes);
  return attributes;
}

Attributes AttributesIn(const nlattr* nest) {
  Attributes attributes;
  if (nest != nullptr) {
    mnl_attr_parse_nested(nest, AddAttribute, &attributes);
  }
  return attributes;
}

struct BaseChain {
  uint8_t family = 0;
  std::string table;
  std::string name;
  int32_t priority = 0;
  bool drops = false;  // by its policy
};

bool IsOurHook(uint32_t hook) {
  return hook == NF_INET_LOCAL_IN || hook == NF_INET_FORWARD ||
         hook == NF_INET_LOCAL_OUT;
}

std::vector<BaseChain> EarlierChains(NfTablesDump& dump, int priority,
                                     absl::string_view own_table) {
  std::vector<BaseChain> chains;
  dump.Run(NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, "", "",
           [&](uint8_t family, const nlmsghdr* header) {
             const Attributes chain = AttributesOf(header);
             if (!SeesPackets(family) || chain[NFTA_CHAIN_HOOK] == nullptr) {
               return;
             }
             const Attributes hook = AttributesIn(chain[NFTA_CHAIN_HOOK]);
             BaseChain found = {
                 .family = family,
                 .table = TextOf(chain[NFTA_CHAIN_TABLE]),
                 .name = TextOf(chain[NFTA_CHAIN_NAME]),
                 .priority =
                     static_cast<int32_t>(NumberOf(hook[NFTA_HOOK_PRIORITY])),
                 .drops = chain[NFTA_CHAIN_POLICY] != nullptr &&
                          NumberOf(chain[NFTA_CHAIN_POLICY]) == NF_DROP};
             if (IsOurHook(NumberOf(hook[NFTA_HOOK_HOOKNUM])) &&
                 found.priority < priority && found.table != own_table) {
               chains.push_back(std::move(found));
             }
           });
  return chains;
}

// Whether an expression ends the packet's way, or leads to where that may be.
bool MayDrop(const nlattr* expression) {
  const Attributes parts = AttributesIn(expression);
  const std::string name = TextOf(parts[NFTA_EXPR_NAME]);
  if (name == "reject") return true;
  if (name != "immediate") return false;
  const Attributes immediate = AttributesIn(parts[NFTA_EXPR_DATA]);
  const Attributes data = AttributesIn(immediate[NFTA_IMMEDIATE_DATA]);
  if (data[NFTA_DATA_VERDICT] == nullptr) return false;
  const Attributes verdict = AttributesIn(data[NFTA_DATA_VERDICT]);
  switch (static_cast<int32_t>(NumberOf(verdict[NFTA_VERDICT_CODE]))) {
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
           [&](uint8_t, const nlmsghdr* header) {
             const Attributes rule = AttributesOf(header);
             if (rule[NFTA_RULE_EXPRESSIONS] == nullptr) return;
             mnl_attr_parse_nested(
                 rule[NFTA_RULE_EXPRESSIONS],
                 [](const nlattr* expression, void* found) {
                   if (MayDrop(expression)) *static_cast<bool*>(found) = true;
                   return MNL_CB_OK;
                 },
                 &drops);
           });
  return drops;
}

std::string Named(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kMostNamed; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", names[i]);
  }
  if (names.size() > kMostNamed) {
    absl::StrAppend(&text, " and ", names.size() - kMostNamed, " more");
  }
  return text;
}

}  // namespace

std::vector<std::string> LookForBypasses(int priority,
                                         absl::string_view own_table) {
  std::vector<std::string> notices;
  NfTablesDump dump;
  std::vector<std::string> flowtables;
  dump.Run(NFT_MSG_GETFLOWTABLE, NFPROTO_UNSPEC, "", "",
           [&](uint8_t family, const nlmsghdr* header) {
             if (!SeesPackets(family)) return;
             const Attributes table = AttributesOf(header);
             flowtables.push_back(absl::StrCat(
                 NfTablesFamily(family), " ",
                 EscapeName(TextOf(table[NFTA_FLOWTABLE_TABLE])), " ",
                 EscapeName(TextOf(table[NFTA_FLOWTABLE_NAME]))));
           });
  if (!flowtables.empty()) {
    notices.push_back(absl::StrCat(
        "Flowtables are in use (", Named(flowtables),
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
        Named(chains), "): what they drop is not counted."));
  }
  return notices;
}

}  // namespace nfmeter::kernel
