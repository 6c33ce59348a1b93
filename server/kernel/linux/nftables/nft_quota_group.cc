// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_quota_group.h"

namespace nfmeter::kernel {

void NftQuotaGroup::Add(NetlinkSubscription& subscription) {
  absl::MutexLock lock(&mutex_);
  subscriptions_.push_back(&subscription);
  if (!listens_) subscription.Leave();
}

void NftQuotaGroup::Remove(NetlinkSubscription& subscription) {
  absl::MutexLock lock(&mutex_);
  std::erase(subscriptions_, &subscription);
}

NftQuotaGroup::Making::Making(NftQuotaGroup& group) : group_(group) {
  absl::MutexLock lock(&group_.mutex_);
  ++group_.version_;
  if (group_.listens_) return;
  for (NetlinkSubscription* each : group_.subscriptions_) {
    if (const int err = each->Join(); err != 0) err_ = err;
  }
  // Otherwise the next one tries again.
  group_.listens_ = err_ == 0;
}

NftQuotaGroup::Making::~Making() {
  absl::MutexLock lock(&group_.mutex_);
  ++group_.version_;
}

bool NftQuotaGroup::listens() const {
  absl::MutexLock lock(&mutex_);
  return listens_;
}

uint64_t NftQuotaGroup::version() const {
  absl::MutexLock lock(&mutex_);
  return version_;
}

void NftQuotaGroup::NoteNone(uint64_t version) {
  absl::MutexLock lock(&mutex_);
  const bool under_way = version_ % 2 != 0;
  if (!listens_ || under_way || version != version_) return;
  listens_ = false;
  for (NetlinkSubscription* each : subscriptions_) each->Leave();
}

}  // namespace nfmeter::kernel
