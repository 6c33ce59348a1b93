// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_table.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_rule_layout.h"
#include "kernel/linux/nftables/nft_userdata.h"

namespace nfmeter::kernel {
namespace {

// No table has this name; none is made, as the probe is not committed.
constexpr char kProbed[] = "nfmeter-probe";
constexpr uint32_t kOwned = kNftTableOwner | kNftTablePersist;

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

// A transaction with all of it, to be checked by the kernel and never
// committed.
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

// What the kernel's answer to it says. UNIMPLEMENTED, NFTABLES_UNAVAILABLE:
// there is no nf_tables, or its message and the metadata `feature` name what it
// lacks. Else as ErrnoStatus().
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

// The same for quotas, without which the rest works.
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

// Sets the size of the send buffer. Returns how much fits one send: the size
// that was granted, less the kernel's bookkeeping (netlink_sendmsg()).
size_t SizeSendBuffer(const NetlinkSocket& socket, int wanted) {
  constexpr size_t kBookkeeping = 32;
  if (setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted,
                 sizeof(wanted)) != 0) {
    setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
  }
  int granted = 0;
  socklen_t size = sizeof(granted);
  getsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &granted, &size);
  return static_cast<size_t>(std::max<int>(granted, kBookkeeping)) -
         kBookkeeping;
}

uint32_t PortOf(const NetlinkSocket& socket) {
  sockaddr_nl address = {};
  socklen_t size = sizeof(address);
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size);
  return address.nl_pid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NftTable>> NftTable::Open(
    const Options& options) {
  std::unique_ptr<NftTable> table(new NftTable(options));
  for (size_t i = 0; i < options.sockets; ++i) {
    NFM_ASSIGN_OR_RETURN(auto socket,
                         NetlinkSocket::Open(options.receive_buffer_bytes));
    table->readers_.Add(std::move(socket));
  }
  NFM_ASSIGN_OR_RETURN(auto writer,
                       NetlinkSocket::Open(options.receive_buffer_bytes));
  table->batch_bytes_max_ = SizeSendBuffer(*writer, options.send_buffer_bytes);
  table->port_ = PortOf(*writer);
  table->writer_.Add(std::move(writer));
  return table;
}

NftTable::~NftTable() {
  // If it stays, an empty table does no harm.
  if (changed_) DeleteIfEmpty().IgnoreError();
}

NftErrors NftTable::Adopt(NetlinkSocket& writer) {
  if (!orphaned_) return {};
  // In a transaction of its own: the kernel makes no base chain in a table that
  // changes its owner in the same one (__NFT_TABLE_F_UPDATE in
  // nf_tables_addchain()).
  NftBatch batch;
  batch.AddTable(kOwned);
  NftErrors errors = SendNft(writer, batch, std::nullopt, /*commit=*/true);
  if (errors.ok()) orphaned_ = false;
  return errors;
}

absl::Status NftTable::Claim() {
  WriteLease writer(*this);
  const NftErrors errors = Adopt(*writer);
  if (errors.ok()) return absl::OkStatus();
  return ErrnoStatus(Operation::kNftChange, errors.first(), kNftTableSubject);
}

NftErrors NftTable::Commit(const NftBatch& batch,
                           std::optional<uint32_t> generation) {
  WriteLease writer(*this);
  NftErrors errors = Adopt(*writer);
  if (!errors.ok()) return errors;
  std::optional<NftQuotaGroup::Making> quotas;
  if (batch.sets_quotas()) {
    errors.whole = quotas.emplace(quota_group_).err();
    if (!errors.ok()) return errors;
  }
  errors = SendNft(*writer, batch, generation, /*commit=*/true);
  if (errors.ok()) changed_ = true;
  return errors;
}

std::optional<uint64_t> NftTable::BeginLookForQuotas() {
  if (!quota_group_.listens()) return std::nullopt;
  const uint64_t version = quota_group_.version();
  // Held now, it stays so.
  const absl::StatusOr<bool> held = IsHeld();
  return held.ok() && *held ? std::optional(version) : std::nullopt;
}

absl::Status NftTable::DeleteIfEmpty() {
  NFM_ASSIGN_OR_RETURN(const uint32_t generation, Generation());
  NFM_ASSIGN_OR_RETURN(const std::optional<State> state, Read());
  if (!state.has_value() || !state->ours || state->use > 0) {
    return absl::OkStatus();
  }
  NftBatch batch;
  batch.DeleteTable();
  const NftErrors errors = Commit(batch, generation);
  if (errors.ok()) return absl::OkStatus();
  return ErrnoStatus(Operation::kNftChange, errors.first(), kNftTableSubject);
}

NftErrors NftTable::Rehearse(const NftBatch& batch) {
  WriteLease writer(*this);
  return SendNft(*writer, batch, std::nullopt, /*commit=*/false);
}

absl::Status NftTable::CheckSize(const NftBatch& batch) const {
  const size_t bytes = batch.bytes();
  if (bytes <= batch_bytes_max_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the change takes ", bytes,
                   " bytes, and one nf_tables transaction may have ",
                   batch_bytes_max_, " here; nothing was changed. Make it in ",
                   bytes / batch_bytes_max_ + 1,
                   " smaller ones or more, or set net.core.wmem_max to ", bytes,
                   " before nfmeterd starts (nfmeterd needs no such setting "
                   "with CAP_NET_ADMIN outside of user namespaces)"),
      {.reason = "NFT_TRANSACTION_TOO_LARGE",
       .metadata = {{"bytes", absl::StrCat(bytes)},
                    {"bytes_max", absl::StrCat(batch_bytes_max_)}}});
}

NftBatch NftTable::NewBatch() const {
  NftBatch batch;
  batch.AddTable(flags_);
  return batch;
}

absl::StatusOr<std::optional<NftTable::State>> NftTable::Read() {
  Lease socket(*this);
  std::optional<State> state;
  const int err = AskNft(*socket, NftGetTable(), [&](ByteSpan attributes) {
    const auto info = ReadNftTable(attributes);
    if (!info.has_value()) return;
    state = State{.flags = info->flags,
                  .use = info->use,
                  .owner = info->owner,
                  .ours = ReadNftComment(info->userdata) == kNftTableMark};
  });
  if (err == 0 || err == ENOENT) return state;
  return ErrnoStatus(Operation::kNftRead, err, kNftTableSubject);
}

absl::StatusOr<bool> NftTable::IsHeld() {
  NFM_ASSIGN_OR_RETURN(const std::optional<State> state, Read());
  return state.has_value() && state->owner != 0 && state->owner == port_;
}

absl::StatusOr<uint32_t> NftTable::Generation() {
  Lease socket(*this);
  std::optional<uint32_t> generation;
  const int err = AskNft(*socket, NftGetGeneration(), [&](ByteSpan attributes) {
    generation = ReadNftGeneration(attributes);
  });
  if (generation.has_value()) return *generation;
  return ErrnoStatus(Operation::kNftRead, err != 0 ? err : EINVAL,
                     "the rulesets' generation");
}

absl::Status NftTable::CheckOwnership(const State& state) const {
  if (!state.ours) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "NFT_TABLE_FOREIGN",
        "there is a table 'inet nfmeter' that nfmeter did not make, and it is "
        "left alone: rename it, or remove it with 'nft delete table inet "
        "nfmeter'");
  }
  if (state.owner != 0 && state.owner != port_ && !options_.read_only) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("table 'inet nfmeter' belongs to another process that "
                     "lives (netlink port ",
                     state.owner,
                     ", its process number as a rule): one nfmeterd at a time "
                     "counts in a network namespace; stop that one"),
        {.reason = "NFT_TABLE_OWNED",
         .metadata = {{"owner", absl::StrCat(state.owner)}}});
  }
  return absl::OkStatus();
}

absl::Status NftTable::Probe() {
  NFM_ASSIGN_OR_RETURN(const std::optional<State> state, Read());
  if (state.has_value()) {
    NFM_RETURN_IF_ERROR(CheckOwnership(*state));
    // A plain table can't become owned, one that lost its owner can.
    const bool persistent = (state->flags & kNftTablePersist) != 0;
    flags_ = persistent ? kOwned : 0;
    orphaned_ = persistent && state->owner == 0;
  } else {
    orphaned_ = false;
    NftBatch owned(kProbed);
    owned.AddTable(kOwned);
    // EOPNOTSUPP before Linux 6.9.
    flags_ = options_.own && Rehearse(owned).ok() ? kOwned : 0;
  }
  NFM_RETURN_IF_ERROR(ExplainNftProbe(Rehearse(NftProbe())));
  absl::Status quotas = ExplainNftQuotaProbe(Rehearse(NftQuotaProbe()));
  absl::MutexLock lock(&mutex_);
  quotas_ = std::move(quotas);
  return absl::OkStatus();
}

absl::Status NftTable::quotas() const {
  absl::MutexLock lock(&mutex_);
  return quotas_;
}

void WaitForPackets() { syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0); }

}  // namespace nfmeter::kernel
