// SPDX-License-Identifier: GPL-3.0-or-later
// Many requests and their answers.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_ACCT_EXCHANGE_H_
#define NFMETER_KERNEL_LINUX_NFACCT_ACCT_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

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
        on_answer);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_ACCT_EXCHANGE_H_
