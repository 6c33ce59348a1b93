// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/flow_codec.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

namespace nfmeter::kernel {
namespace {

using Bytes = absl::Span<const uint8_t>;

// Of newer headers than Debian 12 has (enum ctattr_filter), and of
// net/netfilter/nf_internals.h: which fields of the given tuple are looked at.
constexpr int kFilterOriginalFlags = 1;
constexpr int kFilterReplyFlags = 2;
constexpr uint32_t kFilterProtocol = 1 << 3;

constexpr size_t kHeaderBytes = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(nfgenmsg));

template <typename T>
T Load(const uint8_t* at) {
  T value;
  memcpy(&value, at, sizeof(T));
  return value;
}

// A number of that size, or the value from before where the size is another.
void Read(Bytes payload, uint8_t& value) {
  if (payload.size() == sizeof(value)) value = payload[0];
}
void Read(Bytes payload, uint16_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be16toh(Load<uint16_t>(payload.data()));
  }
}
void Read(Bytes payload, uint32_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be32toh(Load<uint32_t>(payload.data()));
  }
}
void Read(Bytes payload, uint64_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be64toh(Load<uint64_t>(payload.data()));
  }
}

// Calls on_attribute(type, payload) for each attribute. Ends at the first with
// an impossible length.
template <typename OnAttribute>
void ForEachAttribute(Bytes bytes, OnAttribute on_attribute) {
  while (bytes.size() >= NLA_HDRLEN) {
    const nlattr header = Load<nlattr>(bytes.data());
    if (header.nla_len < NLA_HDRLEN || header.nla_len > bytes.size()) return;
    on_attribute(header.nla_type & NLA_TYPE_MASK,
                 bytes.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN));
    bytes.remove_prefix(
        std::min<size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
  }
}

bool ReadAddress(Bytes payload, size_t size, FlowAddress& address) {
  if (payload.size() != size) return false;
  memcpy(address.data(), payload.data(), size);
  return true;
}

// CTA_TUPLE_IP. True: it has both addresses, of the family that it then sets.
bool ReadAddresses(Bytes bytes, FlowTuple& tuple, Family& family) {
  int found = 0;
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    switch (type) {
      case CTA_IP_V4_SRC:
        found += ReadAddress(payload, 4, tuple.source);
        family = Family::kIpv4;
        break;
      case CTA_IP_V4_DST:
        found += ReadAddress(payload, 4, tuple.destination);
        family = Family::kIpv4;
        break;
      case CTA_IP_V6_SRC:
        found += ReadAddress(payload, 16, tuple.source);
        family = Family::kIpv6;
        break;
      case CTA_IP_V6_DST:
        found += ReadAddress(payload, 16, tuple.destination);
        family = Family::kIpv6;
        break;
      default:
        break;
    }
  });
  return found == 2;
}

// CTA_TUPLE_PROTO.
void ReadProtocol(Bytes bytes, FlowTuple& tuple, uint8_t& protocol) {
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    switch (type) {
      case CTA_PROTO_NUM:
        Read(payload, protocol);
        break;
      case CTA_PROTO_SRC_PORT:
        Read(payload, tuple.source_port);
        break;
      case CTA_PROTO_DST_PORT:
        Read(payload, tuple.destination_port);
        break;
      case CTA_PROTO_ICMP_ID:
      case CTA_PROTO_ICMPV6_ID:
        Read(payload, tuple.icmp_id);
        break;
      case CTA_PROTO_ICMP_TYPE:
      case CTA_PROTO_ICMPV6_TYPE:
        Read(payload, tuple.icmp_type);
        break;
      case CTA_PROTO_ICMP_CODE:
      case CTA_PROTO_ICMPV6_CODE:
        Read(payload, tuple.icmp_code);
        break;
      default:
        break;
    }
  });
}

// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY.
bool ReadTuple(Bytes bytes, FlowTuple& tuple, FlowRecord& flow) {
  bool has_addresses = false;
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    switch (type) {
      case CTA_TUPLE_IP:
        has_addresses = ReadAddresses(payload, tuple, flow.family);
        break;
      case CTA_TUPLE_PROTO:
        ReadProtocol(payload, tuple, flow.protocol);
        break;
      case CTA_TUPLE_ZONE:  // a zone of one direction only
        Read(payload, flow.zone);
        break;
      default:
        break;
    }
  });
  return has_addresses;
}

void ReadCounts(Bytes bytes, std::optional<FlowCounts>& counts) {
  counts.emplace();
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    if (type == CTA_COUNTERS_PACKETS) Read(payload, counts->packets);
    if (type == CTA_COUNTERS_BYTES) Read(payload, counts->bytes);
  });
}

void ReadTimes(Bytes bytes, FlowRecord& flow) {
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    if (type == CTA_TIMESTAMP_START) Read(payload, flow.start_ns);
    if (type == CTA_TIMESTAMP_STOP) Read(payload, flow.stop_ns);
  });
}

void ReadTcpState(Bytes bytes, FlowRecord& flow) {
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    if (type != CTA_PROTOINFO_TCP) return;
    ForEachAttribute(payload, [&](int field, Bytes value) {
      if (field != CTA_PROTOINFO_TCP_STATE || value.size() != 1) return;
      if (value[0] < kTcpStates) flow.tcp_state = TcpState{value[0]};
    });
  });
}

// The kernel's array of longs, bit 0 first.
void ReadLabels(Bytes payload, FlowRecord& flow) {
  if (payload.size() != flow.labels.size()) return;
  for (size_t at = 0; at < flow.labels.size(); at += sizeof(long)) {
    unsigned long word = Load<unsigned long>(payload.data() + at);
    if constexpr (sizeof(word) == sizeof(uint64_t)) {
      word = htole64(word);
    } else {
      word = htole32(word);
    }
    memcpy(flow.labels.data() + at, &word, sizeof(word));
  }
}

// On the hot path of dumps. False: it has no original tuple.
bool ReadFlow(Bytes bytes, FlowRecord& flow) {
  flow = FlowRecord();
  bool has_tuple = false;
  ForEachAttribute(bytes, [&](int type, Bytes payload) {
    switch (type) {
      case CTA_TUPLE_ORIG:
        has_tuple = ReadTuple(payload, flow.original, flow);
        break;
      case CTA_TUPLE_REPLY:
        ReadTuple(payload, flow.reply, flow);
        break;
      case CTA_STATUS:
        Read(payload, flow.status);
        break;
      case CTA_PROTOINFO:
        ReadTcpState(payload, flow);
        break;
      case CTA_TIMEOUT:
        Read(payload, flow.timeout_seconds);
        break;
      case CTA_MARK:
        Read(payload, flow.mark);
        break;
      case CTA_COUNTERS_ORIG:
        ReadCounts(payload, flow.original_counts);
        break;
      case CTA_COUNTERS_REPLY:
        ReadCounts(payload, flow.reply_counts);
        break;
      case CTA_ID:
        Read(payload, flow.id);
        break;
      case CTA_ZONE:
        Read(payload, flow.zone);
        break;
      case CTA_TIMESTAMP:
        ReadTimes(payload, flow);
        break;
      case CTA_LABELS:
        ReadLabels(payload, flow);
        break;
      default:
        break;
    }
  });
  return has_tuple;
}

// The errno of an NLMSG_ERROR or NLMSG_DONE; negated in the message.
int ErrnoOf(Bytes payload) {
  if (payload.size() < sizeof(int32_t)) return 0;
  const int32_t value = Load<int32_t>(payload.data());
  return value < 0 && value != INT32_MIN ? -value : 0;
}

// Appends attributes; those of a nest are put between Open() and Close().
class AttributeWriter {
 public:
  explicit AttributeWriter(std::string& out) : out_(out) {}

  void Put(int type, const void* data, size_t size) {
    PutHeader(type, size);
    out_.append(static_cast<const char*>(data), size);
    out_.resize(out_.size() + NLA_ALIGN(size) - size);
  }

  // Where the nest begins.
  size_t Open(int type) {
    PutHeader(type | NLA_F_NESTED, 0);
    return out_.size() - NLA_HDRLEN;
  }
  void Close(size_t start) {
    const uint16_t length = out_.size() - start;
    memcpy(out_.data() + start, &length, sizeof(length));
  }

 private:
  void PutHeader(int type, size_t size) {
    const nlattr header = {.nla_len = static_cast<uint16_t>(NLA_HDRLEN + size),
                           .nla_type = static_cast<uint16_t>(type)};
    out_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  }

  std::string& out_;
};

void PutProtocol(uint8_t protocol, AttributeWriter& out) {
  const size_t tuple = out.Open(CTA_TUPLE_ORIG);
  const size_t proto = out.Open(CTA_TUPLE_PROTO);
  out.Put(CTA_PROTO_NUM, &protocol, sizeof(protocol));
  out.Close(proto);
  out.Close(tuple);
  const size_t filter = out.Open(CTA_FILTER);
  const uint32_t none = 0;
  out.Put(kFilterOriginalFlags, &kFilterProtocol, sizeof(kFilterProtocol));
  out.Put(kFilterReplyFlags, &none, sizeof(none));
  out.Close(filter);
}

uint8_t FamilyNumber(const std::optional<Family>& family) {
  if (!family.has_value()) return AF_UNSPEC;
  return *family == Family::kIpv4 ? AF_INET : AF_INET6;
}

// A request without attributes. Its header, whose length grows with them.
nlmsghdr AppendRequest(int message, int flags, uint8_t family_number,
                       uint32_t sequence, std::string& out) {
  const nlmsghdr header = {
      .nlmsg_len = NLMSG_HDRLEN + sizeof(nfgenmsg),
      .nlmsg_type =
          static_cast<uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | message),
      .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags),
      .nlmsg_seq = sequence};
  const nfgenmsg family = {.nfgen_family = family_number,
                           .version = NFNETLINK_V0};
  out.append(reinterpret_cast<const char*>(&header), sizeof(header));
  out.append(reinterpret_cast<const char*>(&family), sizeof(family));
  return header;
}

}  // namespace

void AppendFlowDump(const FlowDumpFilter& filter, uint32_t sequence,
                    std::string& out) {
  const size_t start = out.size();
  nlmsghdr header = AppendRequest(IPCTNL_MSG_CT_GET, NLM_F_DUMP,
                                  FamilyNumber(filter.family), sequence, out);
  AttributeWriter attributes(out);
  if (filter.family.has_value() && filter.protocol.has_value()) {
    PutProtocol(*filter.protocol, attributes);
  }
  if (filter.mark.has_value()) {
    const uint32_t value = htobe32(filter.mark->value);
    const uint32_t mask = htobe32(filter.mark->mask);
    attributes.Put(CTA_MARK, &value, sizeof(value));
    attributes.Put(CTA_MARK_MASK, &mask, sizeof(mask));
  }
  header.nlmsg_len = out.size() - start;
  memcpy(out.data() + start, &header, sizeof(header));
}

void AppendFlowCount(uint32_t sequence, std::string& out) {
  AppendRequest(IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK, AF_UNSPEC, sequence, out);
}

Bytes FlowMessageReader::NextBytes() {
  uint32_t length = 0;
  if (rest_.size() >= NLMSG_HDRLEN) {
    length = Load<nlmsghdr>(rest_.data()).nlmsg_len;
  }
  if (length < NLMSG_HDRLEN || length > rest_.size()) return {};
  const Bytes bytes = rest_.first(length);
  rest_.remove_prefix(
      std::min<size_t>(NLMSG_ALIGN(size_t{length}), rest_.size()));
  return bytes;
}

const FlowMessage* FlowMessageReader::Next() {
  const Bytes bytes = NextBytes();
  if (bytes.empty()) return nullptr;
  const nlmsghdr header = Load<nlmsghdr>(bytes.data());
  const Bytes payload = bytes.subspan(NLMSG_HDRLEN);
  message_.kind = FlowMessage::Kind::kOther;
  message_.sequence = header.nlmsg_seq;
  message_.dump_interrupted = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  message_.err = 0;
  if (header.nlmsg_type == NLMSG_ERROR && payload.size() >= sizeof(int32_t)) {
    message_.kind = FlowMessage::Kind::kError;
    message_.err = ErrnoOf(payload);
  } else if (header.nlmsg_type == NLMSG_DONE) {
    message_.kind = FlowMessage::Kind::kDone;
    message_.err = ErrnoOf(payload);
  } else if ((header.nlmsg_type >> 8) == NFNL_SUBSYS_CTNETLINK &&
             bytes.size() >= kHeaderBytes) {
    const int command = header.nlmsg_type & 0xff;
    const bool is_death = command == IPCTNL_MSG_CT_DELETE;
    if ((is_death || command == IPCTNL_MSG_CT_NEW) &&
        ReadFlow(bytes.subspan(kHeaderBytes), message_.flow)) {
      message_.kind =
          is_death ? FlowMessage::Kind::kDeath : FlowMessage::Kind::kFlow;
    }
  }
  return &message_;
}

}  // namespace nfmeter::kernel
