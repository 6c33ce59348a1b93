// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/many_flows.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {
namespace {

absl::Status SetConntrack(const std::string& setting, int value) {
  const std::string path =
      absl::StrCat("/proc/sys/net/netfilter/nf_conntrack_", setting);
  const std::string text = absl::StrCat(value);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return write(fd.get(), text.data(), text.size()) > 0
             ? absl::OkStatus()
             : absl::ErrnoToStatus(errno, path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FlowSender>> FlowSender::Open() {
  auto sender = absl::WrapUnique(new FlowSender);
  sender->sink_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sender->socket_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(kFlowPort)};
  if (bind(sender->sink_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) !=
      0) {
    return absl::ErrnoToStatus(errno, "bind");
  }
  return sender;
}

absl::Status FlowSender::Send(uint32_t number) {
  char payload[32] = {};
  sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kFlowPort)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  iovec bytes = {payload, sizeof(payload)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr message = {.msg_name = &to,
                    .msg_namelen = sizeof(to),
                    .msg_iov = &bytes,
                    .msg_iovlen = 1,
                    .msg_control = control,
                    .msg_controllen = sizeof(control)};
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo source = {};
  source.ipi_spec_dst.s_addr = htonl(0x7f010000u + number);
  memcpy(CMSG_DATA(header), &source, sizeof(source));
  return sendmsg(socket_.get(), &message, 0) > 0
             ? absl::OkStatus()
             : absl::ErrnoToStatus(errno, "sendmsg");
}

absl::Status WakeConntrack() {
  for (const auto& [setting, value] :
       {std::pair("acct", 1), std::pair("timestamp", 1),
        std::pair("udp_timeout", 86'400)}) {
    if (auto status = SetConntrack(setting, value); !status.ok()) return status;
  }
  // In a chain that loopback does not pass.
  const auto woken = testing::Run({"iptables-legacy", "-w", "-A", "FORWARD",
                                   "-m", "conntrack", "--ctstate", "INVALID"});
  return woken.exit_code == 0 ? absl::OkStatus()
                              : absl::InternalError(woken.err);
}

absl::Status MakeFlows(size_t count) {
  if (auto status = WakeConntrack(); !status.ok()) return status;
  const auto sender = FlowSender::Open();
  if (!sender.ok()) return sender.status();
  for (size_t i = 0; i < count; ++i) {
    const absl::Status sent = (*sender)->Send(static_cast<uint32_t>(i));
    if (!sent.ok()) return sent;
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::bench
