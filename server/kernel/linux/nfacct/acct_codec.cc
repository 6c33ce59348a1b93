// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_codec.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "kernel/acct_names.h"

namespace nfmeter::kernel {
namespace {

// Of kmod/include/nfnetlink_acct_ext.h: far above NFACCT_MAX, so that Linux's
// own module passes over it and finds no name.
constexpr int kExtFeatures = 30;
constexpr int kExtReplace = 31;
constexpr uint32_t kFeatureHash = 1 << 0;
constexpr uint32_t kFeaturePerCpu = 1 << 1;
constexpr uint32_t kFeatureStableDump = 1 << 2;
constexpr uint32_t kFeatureLosslessReset = 1 << 4;
constexpr uint32_t kFeatureReplace = 1 << 5;

constexpr size_t kHeaderBytes = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(nfgenmsg));

template <typename T>
T Load(const uint8_t* at) {
  T value;
  memcpy(&value, at, sizeof(T));
  return value;
}

// Writes one request at the end of a buffer; its length is set when it is done.
class RequestWriter {
 public:
  RequestWriter(int command, uint16_t flags, uint32_t sequence,
                std::string& out)
      : out_(out), start_(out.size()) {
    const nlmsghdr header = {
        .nlmsg_type = static_cast<uint16_t>((NFNL_SUBSYS_ACCT << 8) | command),
        .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags),
        .nlmsg_seq = sequence};
    const nfgenmsg family = {.nfgen_family = AF_UNSPEC,
                             .version = NFNETLINK_V0};
    Append(&header, sizeof(header));
    Append(&family, sizeof(family));
  }

  ~RequestWriter() {
    const uint32_t length = out_.size() - start_;
    memcpy(out_.data() + start_, &length, sizeof(length));
  }

  // Of a counter; as nfacct calls it.
  void PutName(absl::string_view counter) {
    const std::string name = NfacctName(counter);
    PutHeader(NFACCT_NAME, name.size() + 1);
    out_.append(name);
    out_.push_back('\0');
    Pad();
  }

  void PutU64(int type, uint64_t value) {
    PutHeader(type, sizeof(value));
    const uint64_t big_endian = htobe64(value);
    Append(&big_endian, sizeof(big_endian));
  }

  void PutU32(int type, uint32_t value) {
    PutHeader(type, sizeof(value));
    const uint32_t big_endian = htobe32(value);
    Append(&big_endian, sizeof(big_endian));
  }

  void PutFlag(int type) { PutHeader(type, 0); }

  void PutQuota(const QuotaLimit& quota) {
    PutU32(NFACCT_FLAGS, quota.unit == QuotaLimit::Unit::kPackets
                             ? NFACCT_F_QUOTA_PKTS
                             : NFACCT_F_QUOTA_BYTES);
    PutU64(NFACCT_QUOTA, quota.limit);
  }

  // NFACCT_FILTER: objects whose flags & mask == value.
  void PutFilter(uint32_t mask, uint32_t value) {
    PutHeader(NLA_F_NESTED | NFACCT_FILTER,
              2 * (NLA_HDRLEN + sizeof(uint32_t)));
    PutU32(NFACCT_FILTER_MASK, mask);
    PutU32(NFACCT_FILTER_VALUE, value);
  }

 private:
  void Append(const void* data, size_t size) {
    out_.append(static_cast<const char*>(data), size);
  }

  void PutHeader(int type, size_t payload_bytes) {
    const nlattr header = {
        .nla_len = static_cast<uint16_t>(NLA_HDRLEN + payload_bytes),
        .nla_type = static_cast<uint16_t>(type)};
    Append(&header, sizeof(header));
  }

  void Pad() { out_.resize(start_ + NLMSG_ALIGN(out_.size() - start_)); }

  std::string& out_;
  const size_t start_;
};

// The bytes up to the first NUL; nfnetlink_acct always sends one.
absl::string_view NameOf(const uint8_t* payload, size_t size) {
  const char* text = reinterpret_cast<const char*>(payload);
  return {text, strnlen(text, size)};
}

// Quota and flags come apart; only both together mean something.
void SetQuota(uint32_t flags, std::optional<uint64_t> limit,
              AcctRecord& record) {
  record.quota_exceeded = (flags & NFACCT_F_OVERQUOTA) != 0;
  if (!limit.has_value()) return;
  if ((flags & NFACCT_F_QUOTA_PKTS) != 0) {
    record.quota = QuotaLimit{QuotaLimit::Unit::kPackets, *limit};
  } else if ((flags & NFACCT_F_QUOTA_BYTES) != 0) {
    record.quota = QuotaLimit{QuotaLimit::Unit::kBytes, *limit};
  }
}

// Reads the attributes of one record. False: no name, or lengths that can't
// be. On the hot path of dumps, where a record that is returned and copied
// costs more than the reading.
bool ReadRecord(const uint8_t* at, size_t size, AcctRecord& record) {
  record.packets = 0;
  record.bytes = 0;
  record.quota.reset();
  record.quota_exceeded = false;
  record.use_count = 0;
  bool named = false;
  uint32_t flags = 0;
  std::optional<uint64_t> limit;
  while (size >= NLA_HDRLEN) {
    const nlattr header = Load<nlattr>(at);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > size) return false;
    const uint8_t* payload = at + NLA_HDRLEN;
    const size_t payload_size = header.nla_len - NLA_HDRLEN;
    switch (header.nla_type & NLA_TYPE_MASK) {
      case NFACCT_NAME:
        record.name = NameOf(payload, payload_size);
        named = !record.name.empty();
        break;
      case NFACCT_PKTS:
        if (payload_size != sizeof(uint64_t)) break;
        record.packets = be64toh(Load<uint64_t>(payload));
        break;
      case NFACCT_BYTES:
        if (payload_size != sizeof(uint64_t)) break;
        record.bytes = be64toh(Load<uint64_t>(payload));
        break;
      case NFACCT_USE: {
        if (payload_size != sizeof(uint32_t)) break;
        // The kernel counts the object itself.
        const uint32_t users = be32toh(Load<uint32_t>(payload));
        record.use_count = users == 0 ? 0 : users - 1;
        break;
      }
      case NFACCT_FLAGS:
        if (payload_size != sizeof(uint32_t)) break;
        flags = be32toh(Load<uint32_t>(payload));
        break;
      case NFACCT_QUOTA:
        if (payload_size != sizeof(uint64_t)) break;
        limit = be64toh(Load<uint64_t>(payload));
        break;
      default:
        break;
    }
    const size_t step = std::min<size_t>(NLA_ALIGN(header.nla_len), size);
    at += step;
    size -= step;
  }
  if (flags != 0) SetQuota(flags, limit, record);
  return named;
}

// The features in a message that is no record.
std::optional<AcctFeatures> ReadFeatures(const uint8_t* at, size_t size) {
  if (size < NLA_HDRLEN + sizeof(uint32_t)) return std::nullopt;
  const nlattr header = Load<nlattr>(at);
  if ((header.nla_type & NLA_TYPE_MASK) != kExtFeatures ||
      header.nla_len != NLA_HDRLEN + sizeof(uint32_t)) {
    return std::nullopt;
  }
  const uint32_t bits = be32toh(Load<uint32_t>(at + NLA_HDRLEN));
  return AcctFeatures{.constant_lookup = (bits & kFeatureHash) != 0,
                      .per_cpu = (bits & kFeaturePerCpu) != 0,
                      .stable_dump = (bits & kFeatureStableDump) != 0,
                      .lossless_reset = (bits & kFeatureLosslessReset) != 0,
                      .replace = (bits & kFeatureReplace) != 0};
}

// The errno of an NLMSG_ERROR or NLMSG_DONE; negated in the message.
int ErrnoOf(const uint8_t* payload, size_t size) {
  if (size < sizeof(int32_t)) return 0;
  const int32_t value = Load<int32_t>(payload);
  return value < 0 && value != INT32_MIN ? -value : 0;
}

}  // namespace

AcctObject ObjectOf(const AcctRecord& record) {
  return {.name = std::string(record.name),
          .packets = record.packets,
          .bytes = record.bytes,
          .quota = record.quota,
          .quota_exceeded = record.quota_exceeded,
          .use_count = record.use_count};
}

void AppendAcctCreate(const AcctObject& object, uint32_t sequence,
                      std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_NEW,
                        NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sequence, out);
  request.PutName(object.name);
  if (object.packets != 0) request.PutU64(NFACCT_PKTS, object.packets);
  if (object.bytes != 0) request.PutU64(NFACCT_BYTES, object.bytes);
  if (object.quota.has_value()) request.PutQuota(*object.quota);
}

void AppendAcctSetQuota(absl::string_view name,
                        const std::optional<QuotaLimit>& quota,
                        uint32_t sequence, std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_NEW, NLM_F_REPLACE | NLM_F_ACK, sequence,
                        out);
  request.PutName(name);
  request.PutFlag(kExtReplace);
  if (quota.has_value()) {
    request.PutQuota(*quota);
  } else {
    request.PutU32(NFACCT_FLAGS, 0);
  }
}

void AppendAcctDelete(absl::string_view name, uint32_t sequence,
                      std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_DEL, NLM_F_ACK, sequence, out);
  request.PutName(name);
}

void AppendAcctGet(absl::string_view name, uint32_t sequence,
                   std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_GET, 0, sequence, out);
  request.PutName(name);
}

void AppendAcctGetAndReset(absl::string_view name, uint32_t sequence,
                           std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_GET_CTRZERO, 0, sequence, out);
  request.PutName(name);
}

void AppendAcctGetFeatures(uint32_t sequence, std::string& out) {
  RequestWriter request(NFNL_MSG_ACCT_GET, 0, sequence, out);
  request.PutFlag(kExtFeatures);
}

void AppendAcctDump(AcctDumpFilter filter, uint32_t sequence,
                    std::string& out) {
  // Never NFNL_MSG_ACCT_GET_CTRZERO: a zeroing dump loses counts.
  RequestWriter request(NFNL_MSG_ACCT_GET, NLM_F_DUMP, sequence, out);
  if (filter == AcctDumpFilter::kQuotaExceeded) {
    request.PutFilter(NFACCT_F_OVERQUOTA, NFACCT_F_OVERQUOTA);
  }
}

absl::Span<const uint8_t> AcctMessageReader::NextBytes() {
  if (rest_.empty()) return {};
  uint32_t length = 0;
  if (rest_.size() >= NLMSG_HDRLEN)
    length = Load<nlmsghdr>(rest_.data()).nlmsg_len;
  if (length < NLMSG_HDRLEN || length > rest_.size()) {
    malformed_ = true;
    return {};
  }
  const absl::Span<const uint8_t> bytes = rest_.first(length);
  rest_.remove_prefix(
      std::min<size_t>(NLMSG_ALIGN(size_t{length}), rest_.size()));
  return bytes;
}

const AcctMessage* AcctMessageReader::Next() {
  const absl::Span<const uint8_t> bytes = NextBytes();
  if (bytes.empty()) return nullptr;
  const nlmsghdr header = Load<nlmsghdr>(bytes.data());
  message_.kind = AcctMessage::Kind::kOther;
  message_.sequence = header.nlmsg_seq;
  message_.dump_interrupted = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  message_.err = 0;
  const uint8_t* payload = bytes.data() + NLMSG_HDRLEN;
  const size_t payload_size = bytes.size() - NLMSG_HDRLEN;
  if ((header.nlmsg_type >> 8) == NFNL_SUBSYS_ACCT &&
      bytes.size() >= kHeaderBytes) {
    const uint8_t* attributes = bytes.data() + kHeaderBytes;
    const size_t attributes_size = bytes.size() - kHeaderBytes;
    if (ReadRecord(attributes, attributes_size, message_.record)) {
      message_.kind = AcctMessage::Kind::kRecord;
    } else if (const auto features =
                   ReadFeatures(attributes, attributes_size)) {
      message_.kind = AcctMessage::Kind::kFeatures;
      message_.features = *features;
    }
  } else if (header.nlmsg_type == NLMSG_ERROR &&
             payload_size >= sizeof(int32_t)) {
    message_.kind = AcctMessage::Kind::kError;
    message_.err = ErrnoOf(payload, payload_size);
  } else if (header.nlmsg_type == NLMSG_DONE) {
    message_.kind = AcctMessage::Kind::kDone;
    message_.err = ErrnoOf(payload, payload_size);
  }
  return &message_;
}

}  // namespace nfmeter::kernel
