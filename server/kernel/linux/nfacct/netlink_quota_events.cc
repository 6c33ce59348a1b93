// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/netlink_quota_events.h"

#include <linux/netfilter/nfnetlink.h>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/acct_objects.h"

namespace nfmeter::kernel {

absl::StatusOr<std::unique_ptr<NetlinkQuotaEvents>> NetlinkQuotaEvents::Open(
    const NetworkNamespace& there, int receive_buffer_bytes,
    std::shared_ptr<const AcctNames> names) {
  NFM_ASSIGN_OR_RETURN(auto subscription,
                       NetlinkSubscription::Open(there, NFNLGRP_ACCT_QUOTA,
                                                 receive_buffer_bytes));
  return absl::WrapUnique(
      new NetlinkQuotaEvents(std::move(subscription), std::move(names)));
}

absl::StatusOr<AcctObject> NetlinkQuotaEvents::Next() {
  while (true) {
    // The type of an event's message is that of a new object, not OVERQUOTA.
    while (!subscription_->cancelled()) {
      const AcctMessage* const message = messages_.Next();
      if (message == nullptr) break;
      if (message->kind == AcctMessage::Kind::kRecord &&
          !IsStandInName(message->record.name)) {
        AcctObject object = ObjectOf(message->record);
        if (auto name = names_->Find(object.name)) {
          object.name = *std::move(name);
        }
        return object;
      }
    }
    NFM_ASSIGN_OR_RETURN(const auto datagram, subscription_->Next());
    messages_ = AcctMessageReader(datagram);
  }
}

}  // namespace nfmeter::kernel
