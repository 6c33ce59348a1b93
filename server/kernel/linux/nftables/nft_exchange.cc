// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_exchange.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

#include "kernel/errno_status.h"
#include "kernel/linux/netlink/netlink_exchange.h"

namespace nfmeter::kernel {
namespace {

void SetSequence(uint32_t sequence, std::string& question) {
  memcpy(question.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence,
         sizeof(sequence));
}

}  // namespace

void ExchangeNft(
    NetlinkSocket& socket, size_t count,
    absl::FunctionRef<void(size_t index, uint32_t sequence, std::string& out)>
        append,
    absl::FunctionRef<void(size_t index, int err, const NftMessage* message)>
        on_answer) {
  ExchangeNetlink<NftMessageReader>(
      socket, count, append,
      [&](size_t index, const NftMessage& message) {
        if (message.kind == NftMessage::Kind::kOther ||
            message.kind == NftMessage::Kind::kDone) {
          return false;
        }
        const bool error = message.kind == NftMessage::Kind::kError;
        on_answer(index, message.err, error ? nullptr : &message);
        return true;
      },
      [&](size_t index, int err) { on_answer(index, err, nullptr); });
}

int AskNft(NetlinkSocket& socket, std::string question,
           absl::FunctionRef<void(ByteSpan attributes)> on_answer) {
  int failure = 0;
  ExchangeNft(
      socket, 1,
      [&](size_t, uint32_t sequence, std::string& out) {
        SetSequence(sequence, question);
        out.append(question);
      },
      [&](size_t, int err, const NftMessage* message) {
        failure = err;
        if (message != nullptr) on_answer(message->attributes);
      });
  return failure;
}

NftDumpEnd DumpNft(
    NetlinkSocket& socket, std::string question,
    absl::FunctionRef<void(const NftMessage& message)> on_message,
    absl::FunctionRef<void()> on_datagram_end) {
  const uint32_t sequence = socket.TakeSequences(1);
  SetSequence(sequence, question);
  NftDumpEnd end{.err = socket.Send(question)};
  for (bool done = false; !done && end.err == 0;) {
    const NetlinkSocket::Received received = socket.Receive();
    end.err = received.err == EAGAIN ? ENOBUFS : received.err;
    NftMessageReader reader(received.datagram);
    while (const NftMessage* message = end.err == 0 ? reader.Next() : nullptr) {
      if (message->sequence != sequence) continue;
      end.interrupted |= message->dump_interrupted;
      end.err = message->err;
      if (message->kind == NftMessage::Kind::kDone) {
        done = true;
      } else if (end.err == 0) {
        on_message(*message);
      }
    }
    if (end.err == 0) on_datagram_end();
  }
  if (end.err != 0) socket.Drain();
  return end;
}

absl::Status ReadNftDump(
    NetlinkSocket& socket, absl::string_view subject, std::string question,
    absl::FunctionRef<void(const NftMessage& message)> on_message) {
  const int err = DumpNft(socket, std::move(question), on_message).err;
  if (err == 0 || err == ENOENT) return absl::OkStatus();
  return ErrnoStatus(Operation::kNftRead, err, subject);
}

NftErrors SendNft(NetlinkSocket& socket, const NftBatch& batch,
                  std::optional<uint32_t> generation, bool commit) {
  // Sequence numbers begin anew in each batch: nothing old may be queued.
  socket.Drain();
  NftErrors errors;
  errors.whole = socket.Send(batch.Encode(generation, commit));
  if (errors.whole != 0) return errors;
  bool acknowledged = false;
  bool lost = false;
  for (;;) {
    const NetlinkSocket::Received received = socket.Receive();
    if (received.err == ENOBUFS) {
      lost = true;
      continue;
    }
    // The kernel has answered all before the send returned.
    if (received.err != 0) break;
    NftMessageReader reader(received.datagram);
    while (const NftMessage* message = reader.Next()) {
      if (message->kind != NftMessage::Kind::kError) continue;
      const size_t place = message->sequence - NftBatch::SequenceOf(0);
      if (message->err == 0) {
        acknowledged |= place + 1 == batch.size();
      } else if (message->sequence == NftBatch::kFrameSequence) {
        errors.whole = message->err;
      } else if (place < batch.size()) {
        errors.messages.emplace_back(place, message->err);
      }
    }
  }
  if (errors.ok() && (!acknowledged || lost)) errors.whole = ENOBUFS;
  return errors;
}

}  // namespace nfmeter::kernel
