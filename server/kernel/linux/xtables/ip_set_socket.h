// SPDX-License-Identifier: GPL-3.0-or-later
// ipsets of the kernel by name and index.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IP_SET_SOCKET_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IP_SET_SOCKET_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "kernel/linux/xtables/xt_codec.h"

namespace nfmeter::kernel {

// Asks through the socket option SO_IP_SET, as iptables' set match does
// (ip_set_sockfn_get in net/netfilter/ipset/ip_set_core.c). The socket is
// opened at the first question, in the network namespace of that thread, as
// most hosts never need it. Not thread-safe.
class IpSetSocket : public IpSetIndex {
 public:
  // NOT_FOUND, IPSET_NOT_FOUND; UNIMPLEMENTED, IPSET_UNAVAILABLE.
  absl::StatusOr<uint16_t> IndexOf(absl::string_view name) override;
  absl::StatusOr<std::string> NameOf(uint16_t index) override;

 private:
  // Opens the socket and agrees on the protocol's version.
  absl::Status Open(absl::string_view subject);

  UniqueFd fd_;
  uint32_t version_ = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IP_SET_SOCKET_H_
