// SPDX-License-Identifier: GPL-3.0-or-later
// Quota crossings as the Linux kernel multicasts them.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_NETLINK_QUOTA_EVENTS_H_
#define NFMETER_KERNEL_LINUX_NFACCT_NETLINK_QUOTA_EVENTS_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_subscription.h"
#include "kernel/linux/nfacct/acct_codec.h"

namespace nfmeter::kernel {

// Listens to NFNLGRP_ACCT_QUOTA on a socket of its own.
class NetlinkQuotaEvents : public QuotaEvents {
 public:
  static absl::StatusOr<std::unique_ptr<NetlinkQuotaEvents>> Open(
      const NetworkNamespace& there, int receive_buffer_bytes,
      std::shared_ptr<const AcctNames> names);

  absl::StatusOr<AcctObject> Next() override;
  void Cancel() override { subscription_->Cancel(); }

 private:
  NetlinkQuotaEvents(std::unique_ptr<NetlinkSubscription> subscription,
                     std::shared_ptr<const AcctNames> names)
      : subscription_(std::move(subscription)), names_(std::move(names)) {}

  const std::unique_ptr<NetlinkSubscription> subscription_;
  const std::shared_ptr<const AcctNames> names_;
  // What is left of the last datagram.
  AcctMessageReader messages_{{}};
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_NETLINK_QUOTA_EVENTS_H_
