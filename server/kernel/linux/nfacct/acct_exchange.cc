// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_exchange.h"

#include "kernel/linux/netlink/netlink_exchange.h"
#include "kernel/linux/nfacct/acct_codec.h"

namespace nfmeter::kernel {

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

}  // namespace nfmeter::kernel
