// SPDX-License-Identifier: GPL-3.0-or-later
// Quota crossings as nf_tables multicasts them.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_EVENTS_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_EVENTS_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_subscription.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/linux/nftables/nft_table.h"

namespace nfmeter::kernel {

// Listens to NFNLGRP_NFTABLES on a socket of its own while the table may have
// quotas, see NftQuotaGroup. What others change in their rulesets comes there,
// too, and fills the buffer.
//
// The kernel tells of the quota alone: packets and bytes of an event are the
// counter's when it is read here, or, where it has been reset or deleted by
// then, the limit and no packets.
class NftQuotaEvents : public QuotaEvents {
 public:
  // `acct` and `table` outlive this.
  static absl::StatusOr<std::unique_ptr<NftQuotaEvents>> Open(
      AcctTable& acct, NftTable& table, int receive_buffer_bytes);

  ~NftQuotaEvents() override { group_.Remove(*subscription_); }

  absl::StatusOr<AcctObject> Next() override;
  void Cancel() override { subscription_->Cancel(); }

 private:
  NftQuotaEvents(AcctTable& acct, NftTable& table,
                 std::unique_ptr<NetlinkSubscription> subscription)
      : acct_(acct),
        names_(table.names()),
        group_(table.quota_group()),
        subscription_(std::move(subscription)) {
    group_.Add(*subscription_);
  }

  // The object of a message that tells of a crossing.
  std::optional<AcctObject> CrossingOf(const NftMessage& message);

  AcctTable& acct_;
  const AcctNames& names_;
  NftQuotaGroup& group_;
  const std::unique_ptr<NetlinkSubscription> subscription_;
  // What is left of the last datagram.
  NftMessageReader messages_{{}};
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_EVENTS_H_
