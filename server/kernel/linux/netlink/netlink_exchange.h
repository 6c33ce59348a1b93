// SPDX-License-Identifier: GPL-3.0-or-later
// Many questions to the kernel and their answers, over one socket.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_EXCHANGE_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_EXCHANGE_H_

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// Asks questions 0 to count-1, each appended by `append` under the given
// sequence number, in as few sends as the socket's buffers allow. Each is
// answered by one message.
//
// `Reader` reads the messages of a datagram; they have a sequence number and an
// errno. `on_message(index, message)` says whether the message is the answer.
// `on_missing(index, errno)` is called for those without one: ENOBUFS, the
// answer got lost; or why the questions could not be sent. One of the two
// happens exactly once for each question, in any order.
template <typename Reader, typename OnMessage, typename OnMissing>
void ExchangeNetlink(
    NetlinkSocket& socket, size_t count,
    absl::FunctionRef<void(size_t index, uint32_t sequence, std::string& out)>
        append,
    OnMessage on_message, OnMissing on_missing) {
  std::string questions;
  std::vector<bool> answered;
  size_t batch = 0;
  for (size_t begin = 0; begin < count; begin += batch) {
    batch = std::min(count - begin, socket.requests_at_once());
    const uint32_t first_sequence = socket.TakeSequences(batch);
    questions.clear();
    for (size_t i = 0; i < batch; ++i) {
      append(begin + i, first_sequence + i, questions);
    }
    answered.assign(batch, false);
    const int unsent = socket.Send(questions);
    int missing = unsent == 0 ? ENOBUFS : unsent;
    // Until all are there or nothing is queued any more.
    for (size_t left = unsent == 0 ? batch : 0; left > 0;) {
      const NetlinkSocket::Received received = socket.Receive();
      // Says only that something was dropped; what was queued is still there.
      if (received.err == ENOBUFS) continue;
      if (received.err != 0) break;
      Reader reader(received.datagram);
      while (const auto* message = reader.Next()) {
        // Unsigned: stale answers become large indices.
        const uint32_t index = message->sequence - first_sequence;
        if (index >= answered.size() || answered[index]) continue;
        if (!on_message(begin + index, *message)) continue;
        // nfnetlink_rcv() answers the first of many only.
        if (message->err == EPERM) missing = EPERM;
        answered[index] = true;
        --left;
      }
    }
    for (size_t i = 0; i < batch; ++i) {
      if (!answered[i]) on_missing(begin + i, missing);
    }
  }
}

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_EXCHANGE_H_
