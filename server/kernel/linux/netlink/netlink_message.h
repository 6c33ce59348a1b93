// SPDX-License-Identifier: GPL-3.0-or-later
// Messages of netfilter's netlink and their attributes: bytes <-> type and
// payload. Pure.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_MESSAGE_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_MESSAGE_H_

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::kernel {

using ByteSpan = absl::Span<const uint8_t>;

// What stands before the attributes of a message.
inline constexpr size_t kNetlinkHeadBytes =
    NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(nfgenmsg));

// A copy of the struct or number at `bytes`, which may be unaligned.
template <typename T>
T LoadBytes(const uint8_t* bytes) {
  T value;
  memcpy(&value, bytes, sizeof(value));
  return value;
}

// Cuts the next message, header included, off the front of a datagram. Empty at
// its end, and where the length of the message is impossible: then `rest` stays
// as it is.
ByteSpan TakeNetlinkMessage(ByteSpan& rest);

// The errno of an NLMSG_ERROR or NLMSG_DONE with this payload, positive; 0:
// there is none.
int NetlinkErrno(ByteSpan payload);

// Writes attributes at the end of a buffer. Numbers are big-endian, as nearly
// all of netfilter's are.
class AttributeWriter {
 public:
  explicit AttributeWriter(std::string& out) : out_(out) {}

  void PutBytes(uint16_t type, absl::string_view payload);
  // With a final NUL.
  void PutString(uint16_t type, absl::string_view text);
  void PutU8(uint16_t type, uint8_t value);
  void PutU32(uint16_t type, uint32_t value);
  void PutU64(uint16_t type, uint64_t value);

  // Attributes between the two stand inside the one of this type. Returns what
  // EndNest() wants.
  size_t BeginNest(uint16_t type);
  void EndNest(size_t nest);

 private:
  void PutHeader(uint16_t type, size_t payload_bytes);
  void Pad();

  std::string& out_;
};

// A request at the end of a buffer: its head, and then what is put into it. Its
// length is written when this is destroyed; until then nothing else may be
// appended.
class NetlinkRequest : public AttributeWriter {
 public:
  // `type` is of nlmsghdr, see TypeOf(); `resource` is nfgenmsg.res_id, in the
  // order of this host.
  NetlinkRequest(uint16_t type, uint16_t flags, uint8_t family,
                 uint32_t sequence, std::string& out, uint16_t resource = 0);
  ~NetlinkRequest();
  NetlinkRequest(const NetlinkRequest&) = delete;
  NetlinkRequest& operator=(const NetlinkRequest&) = delete;

  // Of a command of one of nfnetlink's subsystems (NFNL_SUBSYS_*).
  static constexpr uint16_t TypeOf(int subsystem, int command) {
    return static_cast<uint16_t>(subsystem << 8 | command);
  }

 private:
  std::string& out_;
  const size_t start_;
};

// Walks over attributes. Ends at the first whose length is impossible.
class AttributeReader {
 public:
  explicit AttributeReader(ByteSpan attributes) : rest_(attributes) {}

  // Goes to the next; false at the end.
  bool Next();

  uint16_t type() const { return type_; }
  ByteSpan payload() const { return payload_; }
  // The walk ended before the bytes did.
  bool malformed() const { return malformed_; }

 private:
  ByteSpan rest_;
  ByteSpan payload_;
  uint16_t type_ = 0;
  bool malformed_ = false;
};

// Attributes of which each is there once, found by type. What is unknown, and
// what is behind an impossible length, is passed over.
class Attributes {
 public:
  explicit Attributes(ByteSpan bytes);

  bool Has(uint16_t type) const { return (given_ >> type & 1) != 0; }
  // The payload; empty without one.
  ByteSpan operator[](uint16_t type) const { return values_[type]; }
  // The payload as a number; 0 without one, or when its size is another.
  uint32_t U32(uint16_t type) const;
  uint64_t U64(uint16_t type) const;
  // Its bytes up to the first NUL.
  absl::string_view Text(uint16_t type) const;

  // Which there are, as bits.
  uint32_t given() const { return given_; }
  // Something was passed over.
  bool odd() const { return odd_; }

 private:
  static constexpr uint16_t kMost = 24;

  ByteSpan values_[kMost];
  uint32_t given_ = 0;
  bool odd_ = false;
};

// The payload of the first attribute of this type; empty without one.
ByteSpan FindAttribute(ByteSpan attributes, uint16_t type);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_MESSAGE_H_
