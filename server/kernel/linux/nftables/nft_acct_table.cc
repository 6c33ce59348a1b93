// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_acct_table.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"
#include "kernel/linux/netlink/netlink_subscription.h"
#include "kernel/linux/nftables/nft_acct_objects.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {
namespace {

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
      AcctTable& acct, NftTable& table, int receive_buffer_bytes) {
    NFM_ASSIGN_OR_RETURN(
        auto subscription,
        NetlinkSubscription::Open(table.network(), NFNLGRP_NFTABLES,
                                  receive_buffer_bytes));
    return absl::WrapUnique(
        new NftQuotaEvents(acct, table, std::move(subscription)));
  }

  ~NftQuotaEvents() override { group_.Remove(*subscription_); }

  absl::StatusOr<AcctObject> Next() override {
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
  std::optional<AcctObject> CrossingOf(const NftMessage& message) {
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

  AcctTable& acct_;
  const AcctNames& names_;
  NftQuotaGroup& group_;
  const std::unique_ptr<NetlinkSubscription> subscription_;
  // What is left of the last datagram.
  NftMessageReader messages_{{}};
};

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
  return std::move(GetEach({std::string(name)})[0]);
}

std::vector<absl::StatusOr<AcctObject>> NftAcctTable::GetEach(
    absl::Span<const std::string> names) {
  return Ask(names, Operation::kAcctGet, AppendNftGetObject);
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
