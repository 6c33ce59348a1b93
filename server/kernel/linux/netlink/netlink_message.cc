// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/netlink_message.h"

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {
namespace {

template <typename T>
T Load(ByteSpan payload) {
  return payload.size() == sizeof(T) ? LoadBytes<T>(payload.data()) : T{0};
}

template <typename T>
absl::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace

ByteSpan TakeNetlinkMessage(ByteSpan& rest) {
  uint32_t length = 0;
  if (rest.size() >= NLMSG_HDRLEN) {
    length = LoadBytes<nlmsghdr>(rest.data()).nlmsg_len;
  }
  if (length < NLMSG_HDRLEN || length > rest.size()) return {};
  const ByteSpan message = rest.first(length);
  rest.remove_prefix(
      std::min<size_t>(NLMSG_ALIGN(size_t{length}), rest.size()));
  return message;
}

int NetlinkErrno(ByteSpan payload) {
  if (payload.size() < sizeof(int32_t)) return 0;
  // Negated in the message; the end of a dump may carry a count instead.
  const int32_t value = LoadBytes<int32_t>(payload.data());
  return value < 0 && value != INT32_MIN ? -value : 0;
}

void AttributeWriter::PutHeader(uint16_t type, size_t payload_bytes) {
  const nlattr header = {
      .nla_len = static_cast<uint16_t>(NLA_HDRLEN + payload_bytes),
      .nla_type = type};
  out_.append(reinterpret_cast<const char*>(&header), sizeof(header));
}

void AttributeWriter::Pad() { out_.resize(NLA_ALIGN(out_.size())); }

void AttributeWriter::PutBytes(uint16_t type, absl::string_view payload) {
  PutHeader(type, payload.size());
  out_.append(payload.data(), payload.size());
  Pad();
}

void AttributeWriter::PutString(uint16_t type, absl::string_view text) {
  PutHeader(type, text.size() + 1);
  out_.append(text.data(), text.size());
  out_.push_back('\0');
  Pad();
}

void AttributeWriter::PutU8(uint16_t type, uint8_t value) {
  PutBytes(type, BytesOf(value));
}

void AttributeWriter::PutU32(uint16_t type, uint32_t value) {
  PutBytes(type, BytesOf(htobe32(value)));
}

void AttributeWriter::PutU64(uint16_t type, uint64_t value) {
  PutBytes(type, BytesOf(htobe64(value)));
}

size_t AttributeWriter::BeginNest(uint16_t type) {
  const size_t start = out_.size();
  PutHeader(type | NLA_F_NESTED, 0);
  return start;
}

void AttributeWriter::EndNest(size_t nest) {
  const uint16_t length = static_cast<uint16_t>(out_.size() - nest);
  memcpy(out_.data() + nest, &length, sizeof(length));
}

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags, uint8_t family,
                               uint32_t sequence, std::string& out,
                               uint16_t resource)
    : AttributeWriter(out), out_(out), start_(out.size()) {
  const nlmsghdr header = {
      .nlmsg_type = type,
      .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags),
      .nlmsg_seq = sequence};
  const nfgenmsg body = {.nfgen_family = family,
                         .version = NFNETLINK_V0,
                         .res_id = htons(resource)};
  absl::StrAppend(&out_, BytesOf(header), BytesOf(body));
}

NetlinkRequest::~NetlinkRequest() {
  const auto length = static_cast<uint32_t>(out_.size() - start_);
  memcpy(out_.data() + start_, &length, sizeof(length));
}

bool AttributeReader::Next() {
  if (rest_.size() < NLA_HDRLEN) {
    malformed_ |= !rest_.empty();
    return false;
  }
  const auto header = LoadBytes<nlattr>(rest_.data());
  if (header.nla_len < NLA_HDRLEN || header.nla_len > rest_.size()) {
    malformed_ = true;
    return false;
  }
  type_ = header.nla_type & NLA_TYPE_MASK;
  payload_ = rest_.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
  rest_.remove_prefix(
      std::min<size_t>(NLA_ALIGN(header.nla_len), rest_.size()));
  return true;
}

Attributes::Attributes(ByteSpan bytes) {
  AttributeReader reader(bytes);
  while (reader.Next()) {
    if (reader.type() >= kMost) {
      odd_ = true;
      continue;
    }
    values_[reader.type()] = reader.payload();
    given_ |= 1u << reader.type();
  }
  odd_ |= reader.malformed();
}

uint32_t Attributes::U32(uint16_t type) const {
  return be32toh(Load<uint32_t>(values_[type]));
}

uint64_t Attributes::U64(uint16_t type) const {
  return be64toh(Load<uint64_t>(values_[type]));
}

absl::string_view Attributes::Text(uint16_t type) const {
  const ByteSpan bytes = values_[type];
  if (bytes.empty()) return {};  // strnlen() wants an address
  const char* text = reinterpret_cast<const char*>(bytes.data());
  return {text, strnlen(text, bytes.size())};
}

ByteSpan FindAttribute(ByteSpan attributes, uint16_t type) {
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == type) return reader.payload();
  }
  return {};
}

}  // namespace nfmeter::kernel
