#include "kernel/linux/nfacct/acct_exchange.h"

#include <errno.h>

#include <algorithm>
#include <vector>

#include "kernel/linux/nfacct/acct_codec.h"

namespace nfmeter::kernel {
namespace {

using OnAnswer =
    absl::FunctionRef<void(size_t index, int err, const AcctRecord* record)>;

// Reads answers until all are there or nothing is queued any more. Returns the
// errno of those that are missing.
int ReadAnswers(NetlinkSocket& socket, uint32_t first_sequence,
                std::vector<bool>& answered, OnAnswer on_answer) {
  int missing = ENOBUFS;
  size_t left = answered.size();
  while (left > 0) {
    const NetlinkSocket::Received received = socket.Receive();
    // Says only that something was dropped; what was queued is still there.
    if (received.err == ENOBUFS) continue;
    if (received.err != 0) break;
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      // Unsigned: stale answers become large indices.
      const uint32_t index = message->sequence - first_sequence;
      if (index >= answered.size() || answered[index]) continue;
      if (message->kind == AcctMessage::Kind::kRecord) {
        on_answer(index, 0, &message->record);
      } else if (message->kind == AcctMessage::Kind::kError) {
        // nfnetlink_rcv() answers the first of many only.
        if (message->err == EPERM) missing = EPERM;
        on_answer(index, message->err, nullptr);
      } else {
        continue;
      }
      answered[index] = true;
      --left;
    }
  }
  return missing;
}

}  // namespace

void ExchangeAcct(
    NetlinkSocket& socket, size_t count,
    absl::FunctionRef<void(size_t index, uint32_t sequence, std::string& out)>
        append,
    OnAnswer on_answer) {
  std::string requests;
  std::vector<bool> answered;
  size_t batch = 0;
  for (size_t begin = 0; begin < count; begin += batch) {
    batch = std::min(count - begin, socket.requests_at_once());
    const uint32_t first_sequence = socket.TakeSequences(batch);
    requests.clear();
    for (size_t i = 0; i < batch; ++i) {
      append(begin + i, first_sequence + i, requests);
    }
    answered.assign(batch, false);
    int missing = socket.Send(requests);
    if (missing == 0) {
      missing =
          ReadAnswers(socket, first_sequence, answered,
                      [&](size_t index, int err, const AcctRecord* record) {
                        on_answer(begin + index, err, record);
                      });
    }
    for (size_t i = 0; i < batch; ++i) {
      if (!answered[i]) on_answer(begin + i, missing, nullptr);
    }
  }
}

}  // namespace nfmeter::kernel
