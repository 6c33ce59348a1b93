// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_codec.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel/acct_names.h"
#include "kernel/linux/netlink/netlink_message.h"

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

NetlinkRequest Request(int command, uint16_t flags, uint32_t sequence,
                       std::string& out) {
  return {NetlinkRequest::TypeOf(NFNL_SUBSYS_ACCT, command), flags, AF_UNSPEC,
          sequence, out};
}

void PutName(absl::string_view counter, AttributeWriter& out) {
  out.PutString(NFACCT_NAME, NfacctName(counter));
}

void PutFlag(int type, AttributeWriter& out) { out.PutBytes(type, ""); }

void PutQuota(const QuotaLimit& quota, AttributeWriter& out) {
  out.PutU32(NFACCT_FLAGS, quota.unit == QuotaLimit::Unit::kPackets
                               ? NFACCT_F_QUOTA_PKTS
                               : NFACCT_F_QUOTA_BYTES);
  out.PutU64(NFACCT_QUOTA, quota.limit);
}

// Objects whose flags & mask == value.
void PutFilter(uint32_t mask, uint32_t value, AttributeWriter& out) {
  const size_t filter = out.BeginNest(NFACCT_FILTER);
  out.PutU32(NFACCT_FILTER_MASK, mask);
  out.PutU32(NFACCT_FILTER_VALUE, value);
  out.EndNest(filter);
}

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
    const nlattr header = LoadBytes<nlattr>(at);
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
        record.packets = be64toh(LoadBytes<uint64_t>(payload));
        break;
      case NFACCT_BYTES:
        if (payload_size != sizeof(uint64_t)) break;
        record.bytes = be64toh(LoadBytes<uint64_t>(payload));
        break;
      case NFACCT_USE: {
        if (payload_size != sizeof(uint32_t)) break;
        // The kernel counts the object itself.
        const uint32_t users = be32toh(LoadBytes<uint32_t>(payload));
        record.use_count = users == 0 ? 0 : users - 1;
        break;
      }
      case NFACCT_FLAGS:
        if (payload_size != sizeof(uint32_t)) break;
        flags = be32toh(LoadBytes<uint32_t>(payload));
        break;
      case NFACCT_QUOTA:
        if (payload_size != sizeof(uint64_t)) break;
        limit = be64toh(LoadBytes<uint64_t>(payload));
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
  const nlattr header = LoadBytes<nlattr>(at);
  if ((header.nla_type & NLA_TYPE_MASK) != kExtFeatures ||
      header.nla_len != NLA_HDRLEN + sizeof(uint32_t)) {
    return std::nullopt;
  }
  const uint32_t bits = be32toh(LoadBytes<uint32_t>(at + NLA_HDRLEN));
  return AcctFeatures{.constant_lookup = (bits & kFeatureHash) != 0,
                      .per_cpu = (bits & kFeaturePerCpu) != 0,
                      .stable_dump = (bits & kFeatureStableDump) != 0,
                      .lossless_reset = (bits & kFeatureLosslessReset) != 0,
                      .replace = (bits & kFeatureReplace) != 0};
}

constexpr absl::string_view kPrefix = ".nfmeterd.tail.";
constexpr size_t kDigits = 16;
static_assert(kPrefix.substr(0, kAcctOwnPrefix.size()) == kAcctOwnPrefix);
static_assert(kPrefix.size() + kDigits <= kNfacctNameMaxBytes);

}  // namespace

void AppendAcctCreate(const AcctObject& object, uint32_t sequence,
                      std::string& out) {
  NetlinkRequest request = Request(
      NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sequence, out);
  PutName(object.name, request);
  if (object.packets != 0) request.PutU64(NFACCT_PKTS, object.packets);
  if (object.bytes != 0) request.PutU64(NFACCT_BYTES, object.bytes);
  if (object.quota.has_value()) PutQuota(*object.quota, request);
}

void AppendAcctSetQuota(absl::string_view name,
                        const std::optional<QuotaLimit>& quota,
                        uint32_t sequence, std::string& out) {
  NetlinkRequest request =
      Request(NFNL_MSG_ACCT_NEW, NLM_F_REPLACE | NLM_F_ACK, sequence, out);
  PutName(name, request);
  PutFlag(kExtReplace, request);
  if (quota.has_value()) {
    PutQuota(*quota, request);
  } else {
    request.PutU32(NFACCT_FLAGS, 0);
  }
}

void AppendAcctDelete(absl::string_view name, uint32_t sequence,
                      std::string& out) {
  NetlinkRequest request = Request(NFNL_MSG_ACCT_DEL, NLM_F_ACK, sequence, out);
  PutName(name, request);
}

void AppendAcctGet(absl::string_view name, uint32_t sequence,
                   std::string& out) {
  NetlinkRequest request = Request(NFNL_MSG_ACCT_GET, 0, sequence, out);
  PutName(name, request);
}

void AppendAcctGetAndReset(absl::string_view name, uint32_t sequence,
                           std::string& out) {
  NetlinkRequest request = Request(NFNL_MSG_ACCT_GET_CTRZERO, 0, sequence, out);
  PutName(name, request);
}

void AppendAcctGetFeatures(uint32_t sequence, std::string& out) {
  NetlinkRequest request = Request(NFNL_MSG_ACCT_GET, 0, sequence, out);
  PutFlag(kExtFeatures, request);
}

void AppendAcctDump(AcctDumpFilter filter, uint32_t sequence,
                    std::string& out) {
  // Never NFNL_MSG_ACCT_GET_CTRZERO: a zeroing dump loses counts.
  NetlinkRequest request =
      Request(NFNL_MSG_ACCT_GET, NLM_F_DUMP, sequence, out);
  if (filter == AcctDumpFilter::kQuotaExceeded) {
    PutFilter(NFACCT_F_OVERQUOTA, NFACCT_F_OVERQUOTA, request);
  }
}

const AcctMessage* AcctMessageReader::Next() {
  const ByteSpan bytes = TakeNetlinkMessage(rest_);
  if (bytes.empty()) {
    malformed_ |= !rest_.empty();
    return nullptr;
  }
  const auto header = LoadBytes<nlmsghdr>(bytes.data());
  message_.kind = AcctMessage::Kind::kOther;
  message_.sequence = header.nlmsg_seq;
  message_.dump_interrupted = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  message_.err = 0;
  const ByteSpan payload = bytes.subspan(NLMSG_HDRLEN);
  if ((header.nlmsg_type >> 8) == NFNL_SUBSYS_ACCT &&
      bytes.size() >= kNetlinkHeadBytes) {
    const uint8_t* attributes = bytes.data() + kNetlinkHeadBytes;
    const size_t attributes_size = bytes.size() - kNetlinkHeadBytes;
    if (ReadRecord(attributes, attributes_size, message_.record)) {
      message_.kind = AcctMessage::Kind::kRecord;
    } else if (const auto features =
                   ReadFeatures(attributes, attributes_size)) {
      message_.kind = AcctMessage::Kind::kFeatures;
      message_.features = *features;
    }
  } else if (header.nlmsg_type == NLMSG_ERROR &&
             payload.size() >= sizeof(int32_t)) {
    message_.kind = AcctMessage::Kind::kError;
    message_.err = NetlinkErrno(payload);
  } else if (header.nlmsg_type == NLMSG_DONE) {
    message_.kind = AcctMessage::Kind::kDone;
    message_.err = NetlinkErrno(payload);
  }
  return &message_;
}

std::string NewAcctTailName() {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return absl::StrCat(kPrefix, absl::Hex(number, absl::kZeroPad16));
}

bool IsAcctTailName(absl::string_view name) {
  if (name.size() != kPrefix.size() + kDigits) return false;
  if (!absl::StartsWith(name, kPrefix)) return false;
  const absl::string_view digits = name.substr(kPrefix.size());
  return std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace nfmeter::kernel
