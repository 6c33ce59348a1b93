// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/netlink_acct_table.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>
#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/netlink/netlink_exchange.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/netlink/netlink_subscription.h"
#include "kernel/linux/nfacct/acct_codec.h"

namespace nfmeter::kernel {
namespace {

// No counter has this name; the probe asks whether the kernel answers at all.
constexpr absl::string_view kProbedName = ".nfmeterd.probe";

// Listens to NFNLGRP_ACCT_QUOTA on a socket of its own.
class NetlinkQuotaEvents : public QuotaEvents {
 public:
  static absl::StatusOr<std::unique_ptr<NetlinkQuotaEvents>> Open(
      const NetworkNamespace& there, int receive_buffer_bytes,
      std::shared_ptr<const AcctNames> names) {
    NFM_ASSIGN_OR_RETURN(auto subscription,
                         NetlinkSubscription::Open(there, NFNLGRP_ACCT_QUOTA,
                                                   receive_buffer_bytes));
    return absl::WrapUnique(
        new NetlinkQuotaEvents(std::move(subscription), std::move(names)));
  }

  absl::StatusOr<AcctObject> Next() override {
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

// Sends requests 0 to count-1, each appended by `append` under the given
// sequence number, in as few sends as the socket's buffers allow. Each must be
// answered by one record or one error.
//
// `on_answer` is called exactly once for each, in any order: with a record, or
// with null and an errno, 0 for a plain acknowledgement. ENOBUFS: the request
// was carried out, but its answer got lost.
void ExchangeAcct(
    NetlinkSocket& socket, size_t count,
    absl::FunctionRef<void(size_t index, uint32_t sequence, std::string& out)>
        append,
    absl::FunctionRef<void(size_t index, int err, const AcctRecord* record)>
        on_answer) {
  ExchangeNetlink<AcctMessageReader>(
      socket, count, append,
      [&](size_t index, const AcctMessage& message) {
        if (message.kind == AcctMessage::Kind::kRecord) {
          on_answer(index, 0, &message.record);
        } else if (message.kind == AcctMessage::Kind::kError) {
          on_answer(index, message.err, nullptr);
        } else {
          return false;
        }
        return true;
      },
      [&](size_t index, int err) { on_answer(index, err, nullptr); });
}

// The positions of names that can be sent; the others' status is set.
template <typename Result>
std::vector<size_t> Sendable(Operation operation, size_t count,
                             absl::FunctionRef<absl::string_view(size_t)> name,
                             std::vector<Result>& results) {
  std::vector<size_t> sendable;
  sendable.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (IsAcctName(name(i))) {
      sendable.push_back(i);
    } else {
      results[i] = ErrnoStatus(operation, ENAMETOOLONG, name(i));
    }
  }
  return sendable;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetlinkAcctTable>> NetlinkAcctTable::Open(
    const Options& options) {
  std::unique_ptr<NetlinkAcctTable> table(new NetlinkAcctTable(options));
  for (size_t i = 0; i < options.sockets; ++i) {
    NFM_ASSIGN_OR_RETURN(
        auto socket,
        NetlinkSocket::OpenIn(options.network, options.receive_buffer_bytes));
    table->sockets_.Add(std::move(socket));
  }
  return table;
}

NetlinkAcctTable::NetlinkAcctTable(const Options& options)
    : options_(options) {}

NetlinkAcctTable::~NetlinkAcctTable() = default;

absl::Status NetlinkAcctTable::Probe() {
  const absl::Status status = Get(kProbedName).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<AcctFeatures> NetlinkAcctTable::Features() {
  NFM_RETURN_IF_ERROR(Probe());
  Lease socket(*this);
  return AskAcctFeatures(*socket);
}

std::vector<absl::Status> NetlinkAcctTable::Create(
    absl::Span<const AcctObject> objects) {
  std::vector<absl::Status> statuses(objects.size());
  const std::vector<size_t> sent = Sendable(
      Operation::kAcctCreate, objects.size(),
      [&](size_t i) -> absl::string_view { return objects[i].name; }, statuses);
  Lease socket(*this);
  ExchangeAcct(
      *socket, sent.size(),
      [&](size_t index, uint32_t sequence, std::string& out) {
        AppendAcctCreate(objects[sent[index]], sequence, out);
      },
      [&](size_t index, int err, const AcctRecord*) {
        const std::string& name = objects[sent[index]].name;
        if (err == 0 || err == EEXIST) Learn(name);
        if (err == 0) return;
        statuses[sent[index]] = ErrnoStatus(Operation::kAcctCreate, err, name);
      });
  return statuses;
}

absl::StatusOr<AcctObject> NetlinkAcctTable::Get(absl::string_view name) {
  if (!IsAcctName(name)) {
    return ErrnoStatus(Operation::kAcctGet, ENAMETOOLONG, name);
  }
  absl::StatusOr<AcctObject> object;
  Lease socket(*this);
  ExchangeAcct(
      *socket, 1,
      [&](size_t, uint32_t sequence, std::string& out) {
        AppendAcctGet(name, sequence, out);
      },
      [&](size_t, int err, const AcctRecord* record) {
        if (record == nullptr || IsAnothers(name)) {
          object = ErrnoStatus(Operation::kAcctGet,
                               record == nullptr ? err : ENOENT, name);
          return;
        }
        Learn(name);
        object = ObjectOf(*record);
        object->name = std::string(name);
      });
  return object;
}

std::vector<absl::StatusOr<AcctObject>> NetlinkAcctTable::GetAndReset(
    absl::Span<const std::string> names) {
  std::vector<absl::StatusOr<AcctObject>> results(names.size());
  const std::vector<size_t> sent = Sendable(
      Operation::kAcctReset, names.size(),
      [&](size_t i) -> absl::string_view { return names[i]; }, results);
  Lease socket(*this);
  ExchangeAcct(
      *socket, sent.size(),
      [&](size_t index, uint32_t sequence, std::string& out) {
        AppendAcctGetAndReset(names[sent[index]], sequence, out);
      },
      [&](size_t index, int err, const AcctRecord* record) {
        if (record != nullptr) {
          results[sent[index]] = ObjectOf(*record);
          results[sent[index]]->name = names[sent[index]];
        } else {
          results[sent[index]] =
              ErrnoStatus(Operation::kAcctReset, err, names[sent[index]]);
        }
      });
  return results;
}

std::vector<absl::Status> NetlinkAcctTable::Delete(
    absl::Span<const std::string> names) {
  std::vector<absl::Status> statuses(names.size());
  const std::vector<size_t> sent = Sendable(
      Operation::kAcctDelete, names.size(),
      [&](size_t i) -> absl::string_view { return names[i]; }, statuses);
  Lease socket(*this);
  ExchangeAcct(
      *socket, sent.size(),
      [&](size_t index, uint32_t sequence, std::string& out) {
        AppendAcctDelete(names[sent[index]], sequence, out);
      },
      [&](size_t index, int err, const AcctRecord*) {
        if (err == 0) {
          Forget(names[sent[index]]);
        } else {
          statuses[sent[index]] =
              ErrnoStatus(Operation::kAcctDelete, err, names[sent[index]]);
        }
      });
  return statuses;
}

absl::StatusOr<QuotaChange> NetlinkAcctTable::SetQuota(
    absl::string_view name, const std::optional<QuotaLimit>& quota,
    bool dry_run) {
  constexpr Operation kReplace = Operation::kAcctReplace;
  if (!IsAcctName(name)) return ErrnoStatus(kReplace, ENAMETOOLONG, name);
  NFM_RETURN_IF_ERROR(Get(name).status());
  Lease socket(*this);
  NFM_ASSIGN_OR_RETURN(const AcctFeatures features, AskAcctFeatures(*socket));
  // Linux's own module would take it for a reset.
  if (!features.replace) return QuotaChange::kNeedsRenewal;
  if (dry_run) return QuotaChange::kDone;
  absl::Status status;
  ExchangeAcct(
      *socket, 1,
      [&](size_t, uint32_t sequence, std::string& out) {
        AppendAcctSetQuota(name, quota, sequence, out);
      },
      [&](size_t, int err, const AcctRecord*) {
        // A lost answer does no harm: to set the same quota again is well.
        if (err != 0) status = ErrnoStatus(kReplace, err, name);
      });
  NFM_RETURN_IF_ERROR(status);
  return QuotaChange::kDone;
}

absl::Status NetlinkAcctTable::Renew(const AcctObject& object) {
  constexpr Operation kReplace = Operation::kAcctReplace;
  if (!IsAcctName(object.name)) {
    return ErrnoStatus(kReplace, ENAMETOOLONG, object.name);
  }
  int errs[2] = {0, 0};
  {
    Lease socket(*this);
    // The second fails with EEXIST where the first did: nothing is changed.
    ExchangeAcct(
        *socket, 2,
        [&](size_t i, uint32_t sequence, std::string& out) {
          if (i == 0) {
            AppendAcctDelete(object.name, sequence, out);
          } else {
            AppendAcctCreate(object, sequence, out);
          }
        },
        [&](size_t i, int err, const AcctRecord*) { errs[i] = err; });
  }
  if (errs[0] == 0 && errs[1] == 0) return absl::OkStatus();
  const bool lost = errs[0] == ENOBUFS || errs[1] == ENOBUFS;
  if (!lost && errs[0] != 0) return ErrnoStatus(kReplace, errs[0], object.name);
  // If it was deleted and not made anew, it is made now.
  const absl::StatusOr<AcctObject> found = Get(object.name);
  if (absl::IsNotFound(found.status())) return Create({object}).front();
  NFM_RETURN_IF_ERROR(found.status());
  if (found->quota == object.quota) return absl::OkStatus();
  return ErrnoStatus(kReplace, errs[0] != 0 ? errs[0] : errs[1], object.name);
}

absl::Status NetlinkAcctTable::Run(AcctWalk& walk) {
  Lease socket(*this);
  const absl::Status status = walk.Run(*socket);
  if (!status.ok()) socket->Drain();
  return status;
}

absl::StatusOr<AcctDumpOutcome> NetlinkAcctTable::Dump(
    AcctDumpFilter filter,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  AcctWalk walk(*options_.names, filter, on_records);
  NFM_RETURN_IF_ERROR(Run(walk));
  if (options_.sweeps && !swept_.exchange(true) &&
      !walk.stale_tails().empty()) {
    Delete(walk.stale_tails());
  }
  return walk.outcome();
}

absl::StatusOr<AcctDumpOutcome> NetlinkAcctTable::DumpToTail(
    AcctDumpFilter filter,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  // New objects go to the tail of the list.
  std::vector<std::string> tails = {NewAcctTailName()};
  NFM_RETURN_IF_ERROR(Create({AcctObject{.name = tails[0]}}).front());
  AcctWalk walk(*options_.names, filter, on_records, tails[0]);
  const absl::Status status = Run(walk);
  tails.insert(tails.end(), walk.stale_tails().begin(),
               walk.stale_tails().end());
  // It does not matter if one is gone already or in use after all.
  Delete(tails);
  NFM_RETURN_IF_ERROR(status);
  return walk.outcome();
}

absl::StatusOr<AcctDumpOutcome> NetlinkAcctTable::DumpVerified(
    AcctDumpFilter filter, AcctReader& reader) {
  const auto on_records = [&](absl::Span<const AcctRecord> records) {
    reader.OnRecords(records);
  };
  reader.OnBegin();
  NFM_ASSIGN_OR_RETURN(AcctDumpOutcome outcome, Dump(filter, on_records));
  for (int walk = 1; walk < kMaxWalks && !outcome.complete; ++walk) {
    reader.OnBegin();
    NFM_ASSIGN_OR_RETURN(outcome, DumpToTail(filter, on_records));
  }
  return outcome;
}

absl::StatusOr<std::unique_ptr<QuotaEvents>> NetlinkAcctTable::WatchQuotas() {
  NFM_ASSIGN_OR_RETURN(
      auto events,
      NetlinkQuotaEvents::Open(options_.network, options_.quota_buffer_bytes,
                               options_.names));
  return events;
}

}  // namespace nfmeter::kernel
