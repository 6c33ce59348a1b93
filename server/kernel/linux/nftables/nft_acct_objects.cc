// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_acct_objects.h"

#include <errno.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_userdata.h"

namespace nfmeter::kernel {
namespace {

constexpr uint64_t kMostQuota = INT64_MAX;  // nft_quota_do_init()

// Tells the counter's name where the object's does not, or not as people write
// it.
std::string UserdataOf(const std::string& counter,
                       absl::string_view object_name) {
  if (!IsHashedNftName(object_name)) {
    return IsNftComment(counter) ? NftComment(counter) : "";
  }
  std::string userdata;
  AppendNftEntry(NftEntry::kCounterName, counter, userdata);
  return userdata;
}

}  // namespace

absl::Status CheckNftCounter(const AcctObject& object,
                             const absl::Status& quotas) {
  if (!IsAcctName(object.name)) {
    return ErrnoStatus(Operation::kAcctCreate, ENAMETOOLONG, object.name);
  }
  if (!object.quota.has_value()) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(quotas);
  if (object.quota->unit == QuotaLimit::Unit::kPackets) {
    return MakeError(
        absl::StatusCode::kUnimplemented,
        absl::StrCat("counter '", EscapeName(object.name),
                     "' can't have a quota of packets: nf_tables, by which "
                     "this node counts, has quotas of bytes only"),
        {.reason = "QUOTA_NOT_EXPRESSIBLE",
         .metadata = {{"subject", EscapeName(object.name)}}});
  }
  if (object.quota->limit > kMostQuota) {
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("the quota of counter '", EscapeName(object.name),
                     "' is beyond what nf_tables takes, at most ", kMostQuota,
                     " bytes"),
        {.reason = "QUOTA_NOT_EXPRESSIBLE",
         .metadata = {{"subject", EscapeName(object.name)}}});
  }
  return absl::OkStatus();
}

void AddNftCounter(const AcctObject& object, NftBatch& batch) {
  const std::string name = NftObjectName(object.name);
  batch.AddCounter(name, object.packets, object.bytes,
                   UserdataOf(object.name, name));
  if (!object.quota.has_value()) return;
  // nf_tables reports a quota when a packet uses it up, so one that is used up
  // already begins with a byte left: the next packet exceeds it.
  const uint64_t limit = object.quota->limit;
  batch.AddQuota(name, limit, std::min(object.bytes, limit - (limit > 0)));
}

}  // namespace nfmeter::kernel
