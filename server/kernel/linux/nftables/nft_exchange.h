// SPDX-License-Identifier: GPL-3.0-or-later
// Questions to nf_tables and their answers, over one socket.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXCHANGE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_message.h"

namespace nfmeter::kernel {

// Asks questions 0 to count-1, each appended by `append` under the given
// sequence number, in as few sends as the socket's buffers allow. Each must be
// answered by one message or one error.
//
// `on_answer` is called exactly once for each, in any order: with a message, or
// with null and an errno. ENOBUFS: the answer got lost.
void ExchangeNft(
    NetlinkSocket& socket, size_t count,
    absl::FunctionRef<void(size_t index, uint32_t sequence, std::string& out)>
        append,
    absl::FunctionRef<void(size_t index, int err, const NftMessage* message)>
        on_answer);

// Asks one. 0, after `on_answer` has had the attributes of the answer, or an
// errno.
int AskNft(NetlinkSocket& socket, std::string question,
           absl::FunctionRef<void(ByteSpan attributes)> on_answer);

// Asks for a dump and hands out its messages, a datagram's at a time, in order.
struct NftDumpEnd {
  int err = 0;               // then what was handed out is void
  bool interrupted = false;  // the kernel says that something changed meanwhile
};
NftDumpEnd DumpNft(
    NetlinkSocket& socket, std::string question,
    absl::FunctionRef<void(const NftMessage& message)> on_message,
    absl::FunctionRef<void()> on_datagram_end = [] {});

// The same for those who don't mind what changes meanwhile. Without a table of
// ours there are no messages. `subject` is what an error names.
absl::Status ReadNftDump(
    NetlinkSocket& socket, absl::string_view subject, std::string question,
    absl::FunctionRef<void(const NftMessage& message)> on_message);

// What a transaction was refused for; nothing is done then.
struct NftErrors {
  // Of the transaction as a whole: ERESTART, EMSGSIZE, EPERM; ENOBUFS: whether
  // it was carried out is not known. 0: none.
  int whole = 0;
  // Places of messages in the batch, and their errnos. Where there are many,
  // not all may be here.
  std::vector<std::pair<size_t, int>> messages;

  bool ok() const { return whole == 0 && messages.empty(); }
  // The first of all; 0 without one.
  int first() const {
    return whole != 0 ? whole : messages.empty() ? 0 : messages.front().second;
  }
};

// Sends a batch, which is not empty, as one transaction.
NftErrors SendNft(NetlinkSocket& socket, const NftBatch& batch,
                  std::optional<uint32_t> generation, bool commit);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXCHANGE_H_
