// SPDX-License-Identifier: GPL-3.0-or-later
// Chains of the API as base chains.
#include "absl/strings/str_cat.h"
#include "kernel/linux/nftables/nft_rule.h"

namespace nfmeter::kernel {
namespace {

NftHookPoint PointOf(absl::string_view chain) {
  if (chain == "PREROUTING") return NftHookPoint::kPrerouting;
  if (chain == "FORWARD") return NftHookPoint::kForward;
  if (chain == "OUTPUT") return NftHookPoint::kOutput;
  if (chain == "POSTROUTING") return NftHookPoint::kPostrouting;
  return NftHookPoint::kInput;
}

// Of the table's own chains (enum nf_ip_hook_priorities).
int32_t PriorityOf(Table table, NftHookPoint point) {
  switch (table) {
    case Table::kRaw:
      return -300;
    case Table::kMangle:
      return -150;
    case Table::kFilter:
      return 0;
    case Table::kSecurity:
      return 50;
    case Table::kNat:
      return point == NftHookPoint::kPrerouting ||
                     point == NftHookPoint::kOutput
                 ? -100
                 : 100;
  }
  return 0;
}

}  // namespace

std::string NftChainName(Family family, Table table, absl::string_view chain) {
  return absl::StrCat(family == Family::kIpv4 ? "ip" : "ip6", "-",
                      TableName(table), "-", chain);
}

NftHook NftHookOf(Table table, absl::string_view chain) {
  const NftHookPoint point = PointOf(chain);
  return {.point = point,
          .priority = PriorityOf(table, point) - 1,
          // Sees the first packet of each connection, as legacy nat does.
          .type = table == Table::kNat ? "nat" : "filter"};
}

}  // namespace nfmeter::kernel
