// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/flow_codec.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "kernel/linux/netlink/netlink_message.h"

namespace nfmeter::kernel {
namespace {

// Of newer headers than Debian 12 has (enum ctattr_filter), and of
// net/netfilter/nf_internals.h: which fields of the given tuple are looked at.
constexpr int kFilterOriginalFlags = 1;
constexpr int kFilterReplyFlags = 2;
constexpr uint32_t kFilterProtocol = 1 << 3;

// A number of that size, or the value from before where the size is another.
void Read(ByteSpan payload, uint8_t& value) {
  if (payload.size() == sizeof(value)) value = payload[0];
}
void Read(ByteSpan payload, uint16_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be16toh(LoadBytes<uint16_t>(payload.data()));
  }
}
void Read(ByteSpan payload, uint32_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be32toh(LoadBytes<uint32_t>(payload.data()));
  }
}
void Read(ByteSpan payload, uint64_t& value) {
  if (payload.size() == sizeof(value)) {
    value = be64toh(LoadBytes<uint64_t>(payload.data()));
  }
}

// Calls on_attribute(type, payload) for each attribute. Ends at the first with
// an impossible length.
template <typename OnAttribute>
void ForEachAttribute(ByteSpan bytes, OnAttribute on_attribute) {
  while (bytes.size() >= NLA_HDRLEN) {
    const nlattr header = LoadBytes<nlattr>(bytes.data());
    if (header.nla_len < NLA_HDRLEN || header.nla_len > bytes.size()) return;
    on_attribute(header.nla_type & NLA_TYPE_MASK,
                 bytes.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN));
    bytes.remove_prefix(
        std::min<size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
  }
}

bool ReadAddress(ByteSpan payload, size_t size, FlowAddress& address) {
  if (payload.size() != size) return false;
  memcpy(address.data(), payload.data(), size);
  return true;
}

// CTA_TUPLE_IP. True: it has both addresses, of the family that it then sets.
bool ReadAddresses(ByteSpan bytes, FlowTuple& tuple, Family& family) {
  int found = 0;
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
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
void ReadProtocol(ByteSpan bytes, FlowTuple& tuple, uint8_t& protocol) {
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
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
bool ReadTuple(ByteSpan bytes, FlowTuple& tuple, FlowRecord& flow) {
  bool has_addresses = false;
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
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

void ReadCounts(ByteSpan bytes, std::optional<FlowCounts>& counts) {
  counts.emplace();
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
    if (type == CTA_COUNTERS_PACKETS) Read(payload, counts->packets);
    if (type == CTA_COUNTERS_BYTES) Read(payload, counts->bytes);
  });
}

void ReadTimes(ByteSpan bytes, FlowRecord& flow) {
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
    if (type == CTA_TIMESTAMP_START) Read(payload, flow.start_ns);
    if (type == CTA_TIMESTAMP_STOP) Read(payload, flow.stop_ns);
  });
}

void ReadTcpState(ByteSpan bytes, FlowRecord& flow) {
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
    if (type != CTA_PROTOINFO_TCP) return;
    ForEachAttribute(payload, [&](int field, ByteSpan value) {
      if (field != CTA_PROTOINFO_TCP_STATE || value.size() != 1) return;
      if (value[0] < kTcpStates) flow.tcp_state = TcpState{value[0]};
    });
  });
}

// The kernel's array of longs, bit 0 first.
void ReadLabels(ByteSpan payload, FlowRecord& flow) {
  if (payload.size() != flow.labels.size()) return;
  for (size_t at = 0; at < flow.labels.size(); at += sizeof(long)) {
    unsigned long word = LoadBytes<unsigned long>(payload.data() + at);
    if constexpr (sizeof(word) == sizeof(uint64_t)) {
      word = htole64(word);
    } else {
      word = htole32(word);
    }
    memcpy(flow.labels.data() + at, &word, sizeof(word));
  }
}

// On the hot path of dumps. False: it has no original tuple.
bool ReadFlow(ByteSpan bytes, FlowRecord& flow) {
  flow = FlowRecord();
  bool has_tuple = false;
  ForEachAttribute(bytes, [&](int type, ByteSpan payload) {
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

// Flags of CTA_FILTER: the one number that is not big-endian.
void PutFilterFlags(int type, uint32_t flags, AttributeWriter& out) {
  out.PutBytes(type, {reinterpret_cast<const char*>(&flags), sizeof(flags)});
}

void PutProtocol(uint8_t protocol, AttributeWriter& out) {
  const size_t tuple = out.BeginNest(CTA_TUPLE_ORIG);
  const size_t proto = out.BeginNest(CTA_TUPLE_PROTO);
  out.PutU8(CTA_PROTO_NUM, protocol);
  out.EndNest(proto);
  out.EndNest(tuple);
  const size_t filter = out.BeginNest(CTA_FILTER);
  PutFilterFlags(kFilterOriginalFlags, kFilterProtocol, out);
  PutFilterFlags(kFilterReplyFlags, 0, out);
  out.EndNest(filter);
}

uint8_t FamilyNumber(const std::optional<Family>& family) {
  if (!family.has_value()) return AF_UNSPEC;
  return *family == Family::kIpv4 ? AF_INET : AF_INET6;
}

NetlinkRequest Request(int command, uint16_t flags, uint8_t family,
                       uint32_t sequence, std::string& out) {
  return {NetlinkRequest::TypeOf(NFNL_SUBSYS_CTNETLINK, command), flags, family,
          sequence, out};
}

}  // namespace

void AppendFlowDump(const FlowDumpFilter& filter, uint32_t sequence,
                    std::string& out) {
  NetlinkRequest request = Request(IPCTNL_MSG_CT_GET, NLM_F_DUMP,
                                   FamilyNumber(filter.family), sequence, out);
  if (filter.family.has_value() && filter.protocol.has_value()) {
    PutProtocol(*filter.protocol, request);
  }
  if (filter.mark.has_value()) {
    request.PutU32(CTA_MARK, filter.mark->value);
    request.PutU32(CTA_MARK_MASK, filter.mark->mask);
  }
}

void AppendFlowCount(uint32_t sequence, std::string& out) {
  Request(IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK, AF_UNSPEC, sequence, out);
}

const FlowMessage* FlowMessageReader::Next() {
  const ByteSpan bytes = TakeNetlinkMessage(rest_);
  if (bytes.empty()) return nullptr;
  const nlmsghdr header = LoadBytes<nlmsghdr>(bytes.data());
  const ByteSpan payload = bytes.subspan(NLMSG_HDRLEN);
  message_.kind = FlowMessage::Kind::kOther;
  message_.sequence = header.nlmsg_seq;
  message_.dump_interrupted = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  message_.err = 0;
  if (header.nlmsg_type == NLMSG_ERROR && payload.size() >= sizeof(int32_t)) {
    message_.kind = FlowMessage::Kind::kError;
    message_.err = NetlinkErrno(payload);
  } else if (header.nlmsg_type == NLMSG_DONE) {
    message_.kind = FlowMessage::Kind::kDone;
    message_.err = NetlinkErrno(payload);
  } else if ((header.nlmsg_type >> 8) == NFNL_SUBSYS_CTNETLINK &&
             bytes.size() >= kNetlinkHeadBytes) {
    const int command = header.nlmsg_type & 0xff;
    const bool is_death = command == IPCTNL_MSG_CT_DELETE;
    if ((is_death || command == IPCTNL_MSG_CT_NEW) &&
        ReadFlow(bytes.subspan(kNetlinkHeadBytes), message_.flow)) {
      message_.kind =
          is_death ? FlowMessage::Kind::kDeath : FlowMessage::Kind::kFlow;
    }
  }
  return &message_;
}

}  // namespace nfmeter::kernel
