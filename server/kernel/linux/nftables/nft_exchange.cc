// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_exchange.h"

#include <errno.h>

#include "kernel/errno_status.h"
#include "kernel/linux/netlink/netlink_exchange.h"

namespace nfmeter::kernel {

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

int DumpNft(NetlinkSocket& socket,
            absl::FunctionRef<void(uint32_t sequence, std::string& out)> append,
            absl::FunctionRef<void(const NftMessage& message)> on_message,
            absl::FunctionRef<void()> on_datagram_end, bool* interrupted) {
  const uint32_t sequence = socket.TakeSequences(1);
  std::string question;
  append(sequence, question);
  if (const int err = socket.Send(question); err != 0) return err;
  *interrupted = false;
  for (bool done = false; !done;) {
    const NetlinkSocket::Received received = socket.Receive();
    if (received.err != 0) {
      socket.Drain();
      return received.err == EAGAIN ? ENOBUFS : received.err;
    }
    NftMessageReader reader(received.datagram);
    while (const NftMessage* message = reader.Next()) {
      if (message->sequence != sequence) continue;
      *interrupted |= message->dump_interrupted;
      if (message->err != 0) {
        socket.Drain();
        return message->err;
      }
      if (message->kind == NftMessage::Kind::kDone) {
        done = true;
      } else {
        on_message(*message);
      }
    }
    on_datagram_end();
  }
  return 0;
}

absl::Status ReadNftDump(
    NetlinkSocket& socket, absl::string_view subject,
    absl::FunctionRef<void(uint32_t sequence, std::string& out)> append,
    absl::FunctionRef<void(const NftMessage& message)> on_message) {
  bool interrupted = false;
  const int err = DumpNft(
      socket, append, on_message, [] {}, &interrupted);
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
