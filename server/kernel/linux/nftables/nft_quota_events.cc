// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_quota_events.h"

#include <linux/netfilter/nfnetlink.h>

#include <string>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {

absl::StatusOr<std::unique_ptr<NftQuotaEvents>> NftQuotaEvents::Open(
    AcctTable& acct, NftTable& table, int receive_buffer_bytes) {
  NFM_ASSIGN_OR_RETURN(auto subscription, NetlinkSubscription::Open(
                                              table.network(), NFNLGRP_NFTABLES,
                                              receive_buffer_bytes));
  return absl::WrapUnique(
      new NftQuotaEvents(acct, table, std::move(subscription)));
}

std::optional<AcctObject> NftQuotaEvents::CrossingOf(
    const NftMessage& message) {
  // Objects that a transaction changed come with its sequence number, not 0.
  NftObjectInfo info;
  if (message.kind != NftMessage::Kind::kObject || message.sequence != 0 ||
      !ReadNftObject(message.attributes, info) || info.table != kNftTable ||
      info.type != static_cast<uint32_t>(NftObjectType::kQuota) ||
      !info.exceeded) {
    return std::nullopt;
  }
  std::string scratch;
  std::string name(CounterNameOf(info.name, scratch));
  ResolveHash(names_, name);
  if (name.empty() || IsStandInName(name)) return std::nullopt;
  absl::StatusOr<AcctObject> object = acct_.Get(name);
  if (object.ok() && object->quota_exceeded) return *std::move(object);
  return AcctObject{.name = name,
                    .bytes = info.limit,
                    .quota = QuotaLimit{QuotaLimit::Unit::kBytes, info.limit},
                    .quota_exceeded = true,
                    .use_count = info.use};
}

absl::StatusOr<AcctObject> NftQuotaEvents::Next() {
  while (true) {
    while (!subscription_->cancelled()) {
      const NftMessage* const message = messages_.Next();
      if (message == nullptr) break;
      if (std::optional<AcctObject> crossing = CrossingOf(*message)) {
        return *std::move(crossing);
      }
    }
    NFM_ASSIGN_OR_RETURN(const auto datagram, subscription_->Next());
    messages_ = NftMessageReader(datagram);
  }
}

}  // namespace nfmeter::kernel
