// NetlinkAcctTable::Dump.
#include <errno.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "kernel/linux/nfacct/acct_dump_end.h"
#include "kernel/linux/nfacct/acct_tail.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"

namespace nfmeter::kernel {

// One walk of the kernel's list: what comes in, and what goes out of it.
struct NetlinkAcctTable::Walk {
  absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records;
  // Hand out only these, although the kernel was asked for all.
  bool exceeded_only = false;
  // The mark that was made for this walk; empty without one.
  std::string tail;

  bool tail_seen = false;
  std::vector<std::string> stale_tails;
  AcctDumpOutcome outcome;

  // Takes a record in. Marks of the tail, ours or others', are kept back.
  void Take(const AcctRecord& record, std::vector<AcctRecord>& group) {
    if (record.use_count == 0 && IsAcctTailName(record.name)) {
      if (record.name == tail) {
        tail_seen = true;
      } else {
        stale_tails.emplace_back(record.name);
      }
      return;
    }
    if (exceeded_only && !record.quota_exceeded) return;
    group.push_back(record);
  }
};

absl::StatusOr<AcctDumpOutcome> NetlinkAcctTable::Dump(
    AcctDumpFilter filter, AcctDumpMode mode,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  if (mode == AcctDumpMode::kSentinel && !DumpsAreStable()) {
    return DumpToTail(filter, on_records);
  }
  Walk walk{.on_records = on_records};
  NFM_RETURN_IF_ERROR(RunDump(filter, walk));
  if (options_.sweeps && !swept_.exchange(true)) {
    RemoveTails(walk.stale_tails);
  }
  return walk.outcome;
}

bool NetlinkAcctTable::DumpsAreStable() {
  Lease socket(*this);
  return AskFeatures(*socket).value_or(AcctFeatures()).stable_dump;
}

absl::StatusOr<AcctDumpOutcome> NetlinkAcctTable::DumpToTail(
    AcctDumpFilter filter,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  // New objects go to the tail of the list. The kernel's filter would keep the
  // mark back, which has no quota.
  Walk walk{.on_records = on_records,
            .exceeded_only = filter == AcctDumpFilter::kQuotaExceeded,
            .tail = NewAcctTailName()};
  NFM_RETURN_IF_ERROR(Create({AcctObject{.name = walk.tail}}).front());
  const absl::Status status = RunDump(AcctDumpFilter::kAll, walk);
  walk.stale_tails.push_back(walk.tail);
  RemoveTails(walk.stale_tails);
  NFM_RETURN_IF_ERROR(status);
  walk.outcome.complete = walk.tail_seen || walk.outcome.guaranteed;
  return walk.outcome;
}

absl::Status NetlinkAcctTable::RunDump(AcctDumpFilter filter, Walk& walk) {
  Lease socket(*this);
  const absl::Status status = RunDumpOn(*socket, filter, walk);
  if (!status.ok()) socket->Drain();
  return status;
}

absl::Status NetlinkAcctTable::RunDumpOn(NetlinkSocket& socket,
                                         AcctDumpFilter filter, Walk& walk) {
  const auto failed = [](int err) {
    return ErrnoStatus(Operation::kAcctDump, err, "all accounting objects");
  };
  // Asked anew for every dump, in a few microseconds: the module may have been
  // exchanged since. One that can't be asked promises nothing.
  const bool stable = AskFeatures(socket).value_or(AcctFeatures()).stable_dump;
  const uint32_t sequence = socket.TakeSequences(1);
  std::string request;
  AppendAcctDump(filter, sequence, request);
  if (const int err = socket.Send(request); err != 0) return failed(err);

  static const size_t page_bytes = sysconf(_SC_PAGESIZE);
  AcctDumpEnd end(page_bytes);
  std::vector<AcctRecord> group;
  bool interrupted = false;
  for (bool done = false; !done;) {
    const size_t queued_bytes = socket.QueuedBytes();
    const NetlinkSocket::Received received = socket.Receive();
    if (received.err != 0) {
      return failed(received.err == EAGAIN ? ENOBUFS : received.err);
    }
    group.clear();
    bool has_records = false;
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      if (message->sequence != sequence) continue;
      interrupted |= message->dump_interrupted;
      if (message->err != 0) return failed(message->err);
      done |= message->kind == AcctMessage::Kind::kDone;
      if (message->kind == AcctMessage::Kind::kRecord) {
        has_records = true;
        walk.Take(message->record, group);
      }
    }
    if (has_records) {
      end.OnRecords(received.datagram.size(), queued_bytes, done);
    }
    if (!group.empty()) walk.on_records(group);
    walk.outcome.records += group.size();
  }
  walk.tail_seen &= !interrupted;
  // Interrupted, a stable one says that others came or went, no more.
  walk.outcome.guaranteed = stable;
  walk.outcome.complete = stable || (end.Reached() && !interrupted);
  return absl::OkStatus();
}

void NetlinkAcctTable::RemoveTails(absl::Span<const std::string> names) {
  if (names.empty()) return;
  // One that is gone already, or that somebody uses after all, is well.
  Delete(names);
}

}  // namespace nfmeter::kernel
