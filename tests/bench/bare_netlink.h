// SPDX-License-Identifier: GPL-3.0-or-later
// A socket of nfnetlink with one buffer: what the bare peers of the benchmark
// have in common. Nothing of the server's code is in it, so that a peer can't
// become slow together with what it is compared to.
#ifndef NFMETER_TESTS_BENCH_BARE_NETLINK_H_
#define NFMETER_TESTS_BENCH_BARE_NETLINK_H_

#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nfmeter::bench {

constexpr uint16_t MessageType(int subsystem, int message) {
  return static_cast<uint16_t>((subsystem << 8) | message);
}

// The header of a request and of nfnetlink; `resource` in host order.
nlmsghdr* PutHeader(void* at, uint16_t type, uint16_t flags, uint32_t sequence,
                    uint8_t family = AF_UNSPEC, uint16_t resource = 0);

class BareNetlink {
 public:
  static absl::StatusOr<std::unique_ptr<BareNetlink>> Open();
  BareNetlink(const BareNetlink&) = delete;
  BareNetlink& operator=(const BareNetlink&) = delete;
  ~BareNetlink();

  int fd() const { return mnl_socket_get_fd(socket_); }

  absl::Status Send(const void* bytes, size_t size);

  // One answer to a batch that was sent: its messages are acks or errors.
  // Number of acks; the first error, as a status.
  absl::StatusOr<size_t> ReceiveAcks();

  // One dump with a 256 KiB buffer; `on_object` is called with each object.
  absl::Status Dump(nlmsghdr* request, mnl_cb_t on_object, void* data);

  // The same, but only looks at where each message ends. Number of objects.
  absl::StatusOr<size_t> CountDump(nlmsghdr* request);

 private:
  explicit BareNetlink(mnl_socket* socket)
      : socket_(socket), buffer_(256 << 10) {}

  // Number of bytes that are now in buffer_.
  absl::StatusOr<int> Receive();

  mnl_socket* const socket_;
  std::vector<char> buffer_;
};

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_BARE_NETLINK_H_
