// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_probe.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_rule_layout.h"

namespace nfmeter::kernel {
namespace {

// No table has this name.
constexpr char kTable[] = "nfmeter-probe";
constexpr char kName[] = "probe";
constexpr uint32_t kCounter = static_cast<uint32_t>(NftObjectType::kCounter);

// What the messages of the transaction ask for, in their order.
struct Part {
  const char* feature;
  const char* remedy;
};
constexpr Part kParts[] = {
    {"tables of family inet", "CONFIG_NF_TABLES_INET"},
    {"named counters", "module nft_counter, CONFIG_NFT_COUNTER"},
    {"chains at hooks of family inet", "CONFIG_NF_TABLES_INET"},
    {"rules that count into named counters",
     "module nft_objref, CONFIG_NFT_OBJREF"},
    {"maps from addresses to named counters",
     "modules nft_objref and nft_set_hash, CONFIG_NFT_OBJREF and "
     "CONFIG_NFT_HASH"},
};

// Whether this errno says that the kernel lacks something.
bool MeansLack(int err) {
  return err == EOPNOTSUPP || err == ENOENT || err == EINVAL ||
         err == EAFNOSUPPORT;
}

}  // namespace

NftBatch NftProbe() {
  NftBatch batch(kTable);
  batch.AddTable(0);
  batch.AddCounter(kName, 0, 0, "");
  batch.AddChain(kName, {.point = NftHookPoint::kInput, .priority = -1});
  const NftRuleBytes rule = {
      .expressions = {NftMeta{NFT_META_NFPROTO},
                      NftCompare{NFT_CMP_EQ, std::string(1, NFPROTO_IPV4)},
                      NftCounter{}, NftObject{kCounter, kName}}};
  batch.AddRule(kName, rule, 1, {});
  batch.AddMap({.name = kName,
                .key_type = kNftTypeIpv4Address,
                .key_bytes = 4,
                .objects = kCounter});
  return batch;
}

absl::Status ExplainNftProbe(const NftErrors& errors) {
  if (errors.ok()) return absl::OkStatus();
  if (errors.whole == 0) {
    // Messages after the first refused one may fail because of it alone.
    const auto first =
        std::min_element(errors.messages.begin(), errors.messages.end());
    if (first->first < std::size(kParts) && MeansLack(first->second)) {
      const Part& part = kParts[first->first];
      return MakeError(
          absl::StatusCode::kUnimplemented,
          absl::StrCat("this kernel's nf_tables lacks ", part.feature,
                       ", without which nfmeterd can't count by it: load what "
                       "it is in (",
                       part.remedy,
                       "; in a container the host loads modules), or use a "
                       "kernel that has it"),
          {.reason = "NFTABLES_UNAVAILABLE",
           .metadata = {{"feature", part.feature}}});
    }
  }
  return ErrnoStatus(Operation::kNftProbe, errors.first(), kNftTableSubject);
}

NftBatch NftQuotaProbe() {
  NftBatch batch(kTable);
  batch.AddTable(0);
  batch.AddQuota(kName, 1, 0);
  return batch;
}

absl::Status ExplainNftQuotaProbe(const NftErrors& errors) {
  if (errors.ok()) return absl::OkStatus();
  if (errors.whole == 0 && MeansLack(errors.first())) {
    return MakeError(
        absl::StatusCode::kUnimplemented,
        "this kernel's nf_tables lacks quotas, and counters can't have one: "
        "load module nft_quota (CONFIG_NFT_QUOTA; in a container the host "
        "loads modules), or use a kernel that has it",
        {.reason = "NFTABLES_UNAVAILABLE",
         .metadata = {{"feature", "quotas"}}});
  }
  return ErrnoStatus(Operation::kNftProbe, errors.first(), kNftTableSubject);
}

}  // namespace nfmeter::kernel
