// SPDX-License-Identifier: GPL-3.0-or-later
// Netlink attributes: bytes <-> type and payload. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_ATTRIBUTES_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_ATTRIBUTES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::kernel {

using ByteSpan = absl::Span<const uint8_t>;

// Writes attributes at the end of a buffer. Numbers are big-endian, as all of
// nf_tables' are.
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

  // The payload as a number; nullopt when its size is another one.
  std::optional<uint8_t> U8() const;
  std::optional<uint32_t> U32() const;
  std::optional<uint64_t> U64() const;
  // The bytes up to the first NUL.
  absl::string_view Text() const;

 private:
  ByteSpan rest_;
  ByteSpan payload_;
  uint16_t type_ = 0;
  bool malformed_ = false;
};

// The payload of the first attribute of this type; empty without one.
ByteSpan FindAttribute(ByteSpan attributes, uint16_t type);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_ATTRIBUTES_H_
