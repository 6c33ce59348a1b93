// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/bare_netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>

namespace nfmeter::bench {
namespace {

absl::Status ErrorIn(const nlmsghdr* header) {
  const auto* error =
      static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
  if (error->error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(-error->error, "the kernel refused a request");
}

}  // namespace

nlmsghdr* PutHeader(void* at, uint16_t type, uint16_t flags, uint32_t sequence,
                    uint8_t family, uint16_t resource) {
  nlmsghdr* header = mnl_nlmsg_put_header(at);
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  header->nlmsg_seq = sequence;
  auto* body = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  body->nfgen_family = family;
  body->version = NFNETLINK_V0;
  body->res_id = htons(resource);
  return header;
}

absl::StatusOr<std::unique_ptr<BareNetlink>> BareNetlink::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == nullptr) return absl::ErrnoToStatus(errno, "netlink socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    const int error = errno;
    mnl_socket_close(socket);
    return absl::ErrnoToStatus(error, "netlink bind");
  }
  return std::unique_ptr<BareNetlink>(new BareNetlink(socket));
}

BareNetlink::~BareNetlink() { mnl_socket_close(socket_); }

absl::Status BareNetlink::Send(const void* bytes, size_t size) {
  if (mnl_socket_sendto(socket_, bytes, size) < 0) {
    return absl::ErrnoToStatus(errno, "sending to the kernel");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> BareNetlink::Receive() {
  const ssize_t length =
      mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
  if (length < 0) return absl::ErrnoToStatus(errno, "receiving an answer");
  return static_cast<int>(length);
}

absl::StatusOr<size_t> BareNetlink::ReceiveAcks() {
  absl::StatusOr<int> left = Receive();
  if (!left.ok()) return left.status();
  size_t acks = 0;
  auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data());
  for (; mnl_nlmsg_ok(header, *left); header = mnl_nlmsg_next(header, &*left)) {
    if (absl::Status status = ErrorIn(header); !status.ok()) return status;
    ++acks;
  }
  return acks;
}

absl::Status BareNetlink::Dump(nlmsghdr* request, mnl_cb_t on_object,
                               void* data) {
  absl::Status sent = Send(request, request->nlmsg_len);
  if (!sent.ok()) return sent;
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const absl::StatusOr<int> length = Receive();
    if (!length.ok()) return length.status();
    more = mnl_cb_run(buffer_.data(), *length, request->nlmsg_seq,
                      mnl_socket_get_portid(socket_), on_object, data);
    if (more < 0) return absl::ErrnoToStatus(errno, "reading a dump");
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> BareNetlink::CountDump(nlmsghdr* request) {
  absl::Status sent = Send(request, request->nlmsg_len);
  if (!sent.ok()) return sent;
  size_t objects = 0;
  while (true) {
    absl::StatusOr<int> left = Receive();
    if (!left.ok()) return left.status();
    auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; mnl_nlmsg_ok(header, *left);
         header = mnl_nlmsg_next(header, &*left)) {
      if (header->nlmsg_type == NLMSG_DONE) return objects;
      if (header->nlmsg_type == NLMSG_ERROR) {
        absl::Status status = ErrorIn(header);
        if (!status.ok()) return status;
        continue;
      }
      ++objects;
    }
  }
}

}  // namespace nfmeter::bench
