// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_acct_table.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "kernel/linux/nftables/nft_acct_objects.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_quota_events.h"

namespace nfmeter::kernel {
namespace {

// The errnos that say something about one counter; the others are about
// nf_tables.
absl::Status StatusOf(Operation operation, int err, absl::string_view name) {
  const bool reset_lost = operation == Operation::kAcctReset && err == ENOBUFS;
  if (err == EEXIST || err == ENOENT || err == EBUSY || reset_lost) {
    return ErrnoStatus(operation, err, name);
  }
  const bool change = operation == Operation::kAcctCreate ||
                      operation == Operation::kAcctDelete ||
                      operation == Operation::kAcctReplace;
  return ErrnoStatus(change ? Operation::kNftChange : Operation::kNftRead, err,
                     name);
}

AcctObject CounterOf(absl::string_view name, const NftObjectInfo& info) {
  return {.name = std::string(name),
          .packets = info.packets,
          .bytes = info.bytes,
          .use_count = info.use};
}

void AddQuota(const NftObjectInfo& info, AcctObject& object) {
  object.quota = QuotaLimit{QuotaLimit::Unit::kBytes, info.limit};
  object.quota_exceeded = info.exceeded;
}

}  // namespace

absl::StatusOr<AcctFeatures> NftAcctTable::Features() {
  NFM_RETURN_IF_ERROR(Probe());
  return AcctFeatures{.constant_lookup = true, .per_cpu = true};
}

void NftAcctTable::ChangeEach(
    size_t count, Operation operation,
    absl::FunctionRef<void(size_t index, NftBatch& batch)> add,
    absl::FunctionRef<absl::string_view(size_t index)> name,
    std::vector<absl::Status>& statuses) {
  std::vector<size_t> left;
  for (size_t i = 0; i < count; ++i) {
    if (statuses[i].ok()) left.push_back(i);
  }
  while (!left.empty()) {
    NftBatch batch = table_.NewBatch();
    // By message: the index of its change; `count` where it belongs to none.
    std::vector<size_t> owners(batch.size(), count);
    size_t taken = 0;
    // No change has more than 1 KiB.
    constexpr size_t kMostBytes = 1 << 10;
    while (taken < left.size() &&
           (taken == 0 ||
            batch.bytes() + kMostBytes <= table_.batch_bytes_max())) {
      add(left[taken], batch);
      owners.resize(batch.size(), left[taken++]);
    }
    const NftErrors errors = table_.Commit(batch);
    if (errors.ok()) {
      left.erase(left.begin(), left.begin() + taken);
      continue;
    }
    bool blamed = false;
    for (const auto& [message, err] : errors.messages) {
      const size_t index = owners[message];
      if (index == count || !statuses[index].ok()) continue;
      statuses[index] = StatusOf(operation, err, name(index));
      blamed = true;
    }
    if (blamed && errors.whole == 0) {
      // Nothing of the batch was done: once more without the refused ones.
      left.erase(std::remove_if(left.begin(), left.end(),
                                [&](size_t i) { return !statuses[i].ok(); }),
                 left.end());
      continue;
    }
    for (const size_t index : left) {
      if (!statuses[index].ok()) continue;
      statuses[index] =
          ErrnoStatus(Operation::kNftChange, errors.first(), name(index));
    }
    return;
  }
}

std::vector<absl::Status> NftAcctTable::Create(
    absl::Span<const AcctObject> objects) {
  std::vector<absl::Status> statuses;
  statuses.reserve(objects.size());
  const absl::Status quotas = table_.quotas();
  for (const AcctObject& object : objects) {
    statuses.push_back(CheckNftCounter(object, quotas));
  }
  ChangeEach(
      objects.size(), Operation::kAcctCreate,
      [&](size_t i, NftBatch& batch) { AddNftCounter(objects[i], batch); },
      [&](size_t i) -> absl::string_view { return objects[i].name; }, statuses);
  for (size_t i = 0; i < objects.size(); ++i) {
    if (statuses[i].ok()) Learn(objects[i].name);
  }
  return statuses;
}

void NftAcctTable::Learn(absl::string_view name) {
  std::string object = NftObjectName(name);
  if (IsHashedNftName(object)) table_.names().Learn(std::move(object), name);
}

std::vector<absl::Status> NftAcctTable::Delete(
    absl::Span<const std::string> names) {
  std::vector<absl::Status> statuses(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (!IsAcctName(names[i])) {
      statuses[i] = ErrnoStatus(Operation::kAcctDelete, ENAMETOOLONG, names[i]);
    }
  }
  const std::vector<bool> quotas = HaveQuotas(names);
  ChangeEach(
      names.size(), Operation::kAcctDelete,
      [&](size_t i, NftBatch& batch) {
        const std::string name = NftObjectName(names[i]);
        if (quotas[i]) batch.DeleteQuota(name);
        batch.DeleteCounter(name);
      },
      [&](size_t i) -> absl::string_view { return names[i]; }, statuses);
  return statuses;
}

absl::StatusOr<QuotaChange> NftAcctTable::SetQuota(
    absl::string_view name, const std::optional<QuotaLimit>& quota,
    bool dry_run) {
  NFM_ASSIGN_OR_RETURN(const AcctObject object, Get(name));
  NFM_RETURN_IF_ERROR(CheckNftCounter(
      {.name = std::string(name), .quota = quota}, table_.quotas()));
  if (object.quota.has_value() != quota.has_value()) {
    return QuotaChange::kNeedsRenewal;
  }
  if (quota.has_value() && !dry_run) {
    NftBatch batch = table_.NewBatch();
    batch.SetQuota(NftObjectName(name), quota->limit);
    const NftErrors errors = table_.Commit(batch);
    if (!errors.ok()) {
      return StatusOf(Operation::kAcctReplace, errors.first(), name);
    }
  }
  return QuotaChange::kDone;
}

absl::Status NftAcctTable::Renew(const AcctObject& object) {
  NFM_RETURN_IF_ERROR(CheckNftCounter(object, table_.quotas()));
  const std::string name = NftObjectName(object.name);
  NftBatch batch = table_.NewBatch();
  if (HaveQuotas({object.name})[0]) batch.DeleteQuota(name);
  batch.DeleteCounter(name);
  AddNftCounter(object, batch);
  const NftErrors errors = table_.Commit(batch);
  return errors.ok()
             ? absl::OkStatus()
             : StatusOf(Operation::kAcctReplace, errors.first(), object.name);
}

std::vector<bool> NftAcctTable::HaveQuotas(
    absl::Span<const std::string> names) {
  std::vector<bool> quotas(names.size());
  std::vector<size_t> asked;
  for (size_t i = 0; i < names.size(); ++i) {
    if (IsAcctName(names[i])) asked.push_back(i);
  }
  NftTable::Lease socket(table_);
  ExchangeNft(
      *socket, asked.size(),
      [&](size_t i, uint32_t sequence, std::string& out) {
        AppendNftGetObject(NftObjectType::kQuota,
                           NftObjectName(names[asked[i]]), sequence, out);
      },
      [&](size_t i, int, const NftMessage* message) {
        quotas[asked[i]] = message != nullptr;
      });
  return quotas;
}

std::vector<absl::StatusOr<AcctObject>> NftAcctTable::Ask(
    absl::Span<const std::string> names, Operation operation,
    AppendFunction append) {
  std::vector<absl::StatusOr<AcctObject>> results(names.size());
  std::vector<std::optional<NftObjectInfo>> quotas(names.size());
  std::vector<size_t> asked;
  std::vector<std::string> objects;
  for (size_t i = 0; i < names.size(); ++i) {
    if (IsAcctName(names[i])) {
      asked.push_back(i);
      objects.push_back(NftObjectName(names[i]));
    } else {
      results[i] = ErrnoStatus(operation, ENAMETOOLONG, names[i]);
    }
  }
  // The counter first: a packet between the two is then in its next value and,
  // for the quota, in the old one.
  NftTable::Lease socket(table_);
  ExchangeNft(
      *socket, 2 * asked.size(),
      [&](size_t i, uint32_t sequence, std::string& out) {
        append(i % 2 == 0 ? NftObjectType::kCounter : NftObjectType::kQuota,
               objects[i / 2], sequence, out);
      },
      [&](size_t i, int err, const NftMessage* message) {
        const size_t index = asked[i / 2];
        NftObjectInfo info;
        const bool read =
            message != nullptr && ReadNftObject(message->attributes, info);
        if (i % 2 == 0) {
          if (read) Learn(names[index]);
          results[index] = read ? CounterOf(names[index], info)
                                : absl::StatusOr<AcctObject>(
                                      StatusOf(operation, err, names[index]));
        } else if (read) {
          quotas[index] = info;
        }
      });
  for (const size_t index : asked) {
    if (results[index].ok() && quotas[index].has_value()) {
      AddQuota(*quotas[index], *results[index]);
    }
  }
  return results;
}

absl::StatusOr<AcctObject> NftAcctTable::Get(absl::string_view name) {
  return std::move(
      Ask({std::string(name)}, Operation::kAcctGet, AppendNftGetObject)[0]);
}

std::vector<absl::StatusOr<AcctObject>> NftAcctTable::GetAndReset(
    absl::Span<const std::string> names) {
  return Ask(names, Operation::kAcctReset, AppendNftResetObject);
}

absl::StatusOr<std::unique_ptr<QuotaEvents>> NftAcctTable::WatchQuotas() {
  NFM_ASSIGN_OR_RETURN(
      auto events, NftQuotaEvents::Open(*this, table_, quota_buffer_bytes_));
  return events;
}

}  // namespace nfmeter::kernel
