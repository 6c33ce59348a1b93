// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_walk.h"

#include <errno.h>
#include <unistd.h>

#include "kernel/errno_status.h"
#include "kernel/linux/nfacct/acct_codec.h"
#include "kernel/linux/nfacct/acct_dump_end.h"

namespace nfmeter::kernel {

absl::StatusOr<AcctFeatures> AskAcctFeatures(NetlinkSocket& socket) {
  const uint32_t sequence = socket.TakeSequences(1);
  std::string request;
  AppendAcctGetFeatures(sequence, request);
  int err = socket.Send(request);
  while (err == 0) {
    const NetlinkSocket::Received received = socket.Receive();
    err = received.err;
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      if (message->sequence != sequence) continue;
      if (message->kind == AcctMessage::Kind::kFeatures) {
        return message->features;
      }
      // Linux's own module finds no name in the request.
      if (message->err == EINVAL) return AcctFeatures();
      if (message->err != 0) err = message->err;
    }
  }
  return ErrnoStatus(Operation::kAcctGet, err == EAGAIN ? ENOBUFS : err,
                     "the accounting's features");
}

void AcctWalk::Take(const AcctRecord& record, std::vector<AcctRecord>& group) {
  if (record.use_count == 0 && IsAcctTailName(record.name)) {
    if (record.name == tail_) {
      tail_seen_ = true;
    } else {
      stale_tails_.emplace_back(record.name);
    }
    return;
  }
  if (!PassesFilter(filter_, record)) return;
  group.push_back(record);
  if (!IsShortNfacctName(record.name)) return;
  if (auto name = names_.Find(record.name)) {
    group.back().name = long_names_.emplace_back(*std::move(name));
  }
}

absl::Status AcctWalk::Run(NetlinkSocket& socket) {
  const auto failed = [](int err) {
    return ErrnoStatus(Operation::kAcctDump, err, "all accounting objects");
  };
  // A kernel that does not answer this question promises nothing.
  const bool stable =
      AskAcctFeatures(socket).value_or(AcctFeatures()).stable_dump;
  const uint32_t sequence = socket.TakeSequences(1);
  std::string request;
  // The kernel's filter would leave out the mark, which has no quota.
  AppendAcctDump(tail_.empty() ? filter_ : AcctDumpFilter::kAll, sequence,
                 request);
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
    long_names_.clear();
    bool has_records = false;
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      if (message->sequence != sequence) continue;
      interrupted |= message->dump_interrupted;
      if (message->err != 0) return failed(message->err);
      done |= message->kind == AcctMessage::Kind::kDone;
      if (message->kind == AcctMessage::Kind::kRecord) {
        has_records = true;
        Take(message->record, group);
      }
    }
    if (has_records) {
      end.OnRecords(received.datagram.size(), queued_bytes, done);
    }
    if (!group.empty()) on_records_(group);
    outcome_.records += group.size();
  }
  // Of a stable dump an interruption says only that objects came or went.
  outcome_.guaranteed = stable;
  outcome_.complete =
      stable || (!interrupted && (tail_.empty() ? end.Reached() : tail_seen_));
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
