// SPDX-License-Identifier: GPL-3.0-or-later
// NftAcctTable::Dump.
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"
#include "kernel/linux/nftables/nft_acct_table.h"
#include "kernel/linux/nftables/nft_census.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_userdata.h"

namespace nfmeter::kernel {
namespace {

// Recognizes objects that come twice: the kernel numbers them as they are made,
// and walks over them in that order.
class RisingHandles {
 public:
  // False: it was there before.
  bool Take(uint64_t handle) {
    if (handle <= last_) return false;
    last_ = handle;
    ++count_;
    return true;
  }
  size_t count() const { return count_; }

 private:
  uint64_t last_ = 0;
  size_t count_ = 0;
};

struct Quota {
  uint64_t limit = 0;
  bool exceeded = false;
};

struct Quotas {
  absl::flat_hash_map<std::string, Quota> by_object;
  RisingHandles handles;
};

int ReadQuotas(NetlinkSocket& socket, Quotas& out) {
  NftObjectInfo info;
  const auto end =
      DumpNft(socket, NftDumpObjects(NftObjectType::kQuota),
              [&](const NftMessage& message) {
                if (message.kind == NftMessage::Kind::kObject &&
                    ReadNftObject(message.attributes, info) &&
                    out.handles.Take(info.handle)) {
                  out.by_object[info.name] = {info.limit, info.exceeded};
                }
              });
  return end.err;
}

// The counters of one datagram, as the caller wants them.
class Group {
 public:
  Group(const Quotas& quotas, AcctDumpFilter filter, AcctNames& names)
      : quotas_(quotas), filter_(filter), names_(names) {}

  void Add(const NftObjectInfo& info) {
    AcctRecord record = {
        .packets = info.packets, .bytes = info.bytes, .use_count = info.use};
    record.name = CounterNameOf(info.name, scratch_);
    // Somebody else's object: in a plain table others may make some.
    if (record.name.empty()) return;
    if (IsHashedNftName(info.name)) {
      const auto name = ReadNftEntry(NftEntry::kCounterName, info.userdata);
      if (name.has_value()) names_.Learn(std::string(info.name), *name);
      ResolveHash(names_, scratch_);
      record.name = scratch_;
    }
    if (record.name.data() == scratch_.data()) {
      record.name = escaped_.emplace_back(scratch_);
    }
    if (!quotas_.by_object.empty()) AddQuota(info.name, record);
    if (PassesFilter(filter_, record)) records_.push_back(record);
  }

  absl::Span<const AcctRecord> records() const { return records_; }
  void Clear() {
    records_.clear();
    escaped_.clear();
  }

 private:
  void AddQuota(absl::string_view object, AcctRecord& record) const {
    const auto found = quotas_.by_object.find(object);
    if (found == quotas_.by_object.end()) return;
    record.quota = QuotaLimit{QuotaLimit::Unit::kBytes, found->second.limit};
    record.quota_exceeded = found->second.exceeded;
  }

  const Quotas& quotas_;
  const AcctDumpFilter filter_;
  AcctNames& names_;
  std::vector<AcctRecord> records_;
  std::deque<std::string> escaped_;
  std::string scratch_;
};

}  // namespace

absl::StatusOr<AcctDumpOutcome> NftAcctTable::Dump(
    AcctDumpFilter filter,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  const auto failed = [](int err) {
    return ErrnoStatus(Operation::kNftRead, err, "all counters");
  };
  const std::optional<uint64_t> quotas_version = table_.BeginLookForQuotas();
  NftTable::Lease socket(table_);
  NFM_ASSIGN_OR_RETURN(const std::optional<size_t> before,
                       CountNftObjects(*socket));
  Quotas quotas;
  if (const int err = ReadQuotas(*socket, quotas); err != 0) return failed(err);
  AcctDumpOutcome outcome;
  RisingHandles counters;
  Group group(quotas, filter, table_.names());
  NftObjectInfo info;
  const NftDumpEnd end = DumpNft(
      *socket, NftDumpObjects(NftObjectType::kCounter),
      [&](const NftMessage& message) {
        if (message.kind == NftMessage::Kind::kObject &&
            ReadNftObject(message.attributes, info) &&
            counters.Take(info.handle)) {
          group.Add(info);
        }
      },
      [&] {
        outcome.records += group.records().size();
        if (!group.records().empty()) on_records(group.records());
        group.Clear();
      });
  if (end.err != 0) return failed(end.err);
  // An owned table is changed by us alone, and not while we dump it: there an
  // interruption is about tables of others, and does not matter. But even
  // without one, a transaction of theirs may have been aborted meanwhile, and
  // then the dump lacks objects (see CountNftObjects()). So what came is held
  // against the number of objects; as a deletion lowers that number by as many
  // as the dump then lacks, the number of before counts, too.
  NFM_ASSIGN_OR_RETURN(const std::optional<size_t> after,
                       CountNftObjects(*socket));
  outcome.complete = before == after &&
                     after == counters.count() + quotas.handles.count() &&
                     (table_.owned() || !end.interrupted);
  if (quotas_version.has_value() && outcome.complete &&
      quotas.by_object.empty()) {
    table_.quota_group().NoteNone(*quotas_version);
  }
  return outcome;
}

}  // namespace nfmeter::kernel
