// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/kmod/programs/acct_peer.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nfmeter::testing {
namespace {

constexpr size_t kLargestDatagram = 256 << 10;
constexpr int kPatience = 20'000;  // milliseconds; the machine is emulated

void DieIf(bool condition, const char* what) {
  if (!condition) return;
  perror(what);
  abort();
}

size_t Aligned(size_t length) { return NLMSG_ALIGN(length); }

template <typename Number>
Number Load(const nlattr* attribute) {
  Number number{};
  if (attribute->nla_len < NLA_HDRLEN + sizeof(number)) return number;
  memcpy(&number, reinterpret_cast<const char*>(attribute) + NLA_HDRLEN,
         sizeof(number));
  return number;
}

void Read(const nlattr* attribute, AcctObject& object) {
  switch (attribute->nla_type & NLA_TYPE_MASK) {
    case NFACCT_NAME: {
      const char* name = reinterpret_cast<const char*>(attribute) + NLA_HDRLEN;
      object.name.assign(name, strnlen(name, attribute->nla_len - NLA_HDRLEN));
      break;
    }
    case NFACCT_PKTS:
      object.packets = be64toh(Load<uint64_t>(attribute));
      break;
    case NFACCT_BYTES:
      object.bytes = be64toh(Load<uint64_t>(attribute));
      break;
    case NFACCT_USE:
      object.use = be32toh(Load<uint32_t>(attribute));
      break;
    case NFACCT_FLAGS:
      object.flags = be32toh(Load<uint32_t>(attribute));
      break;
    case NFACCT_QUOTA:
      object.quota = be64toh(Load<uint64_t>(attribute));
      break;
    default:
      break;
  }
}

AcctObject ReadObject(const nlmsghdr* header) {
  AcctObject object;
  const char* at = reinterpret_cast<const char*>(header) + NLMSG_HDRLEN +
                   Aligned(sizeof(nfgenmsg));
  const char* end = reinterpret_cast<const char*>(header) + header->nlmsg_len;
  while (at + NLA_HDRLEN <= end) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end) {
      fprintf(stderr, "the kernel sent an attribute of %d bytes\n",
              attribute->nla_len);
      abort();
    }
    Read(attribute, object);
    at += NLA_ALIGN(attribute->nla_len);
  }
  return object;
}

// The sentence behind an ack, which repeats the request or its header alone.
std::string ReadWhy(const nlmsghdr* header) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  const char* start = reinterpret_cast<const char*>(header);
  const auto* ack = reinterpret_cast<const nlmsgerr*>(start + NLMSG_HDRLEN);
  const bool capped = (header->nlmsg_flags & NLM_F_CAPPED) != 0;
  size_t at = NLMSG_HDRLEN + sizeof(*ack) +
              (capped ? 0 : Aligned(ack->msg.nlmsg_len) - NLMSG_HDRLEN);
  while (at + NLA_HDRLEN <= header->nlmsg_len) {
    const auto* attribute = reinterpret_cast<const nlattr*>(start + at);
    if (attribute->nla_len < NLA_HDRLEN ||
        at + attribute->nla_len > header->nlmsg_len) {
      break;
    }
    if (attribute->nla_type == NLMSGERR_ATTR_MSG) {
      const char* text = start + at + NLA_HDRLEN;
      return std::string(text, strnlen(text, attribute->nla_len - NLA_HDRLEN));
    }
    at += Aligned(attribute->nla_len);
  }
  return "";
}

void Read(const nlmsghdr* header, AcctReply& reply) {
  if (header->nlmsg_flags & NLM_F_DUMP_INTR) {
    reply.interrupted = true;
    if (header->nlmsg_type != NLMSG_DONE) reply.object_interrupted = true;
  }
  const char* payload = reinterpret_cast<const char*>(header) + NLMSG_HDRLEN;
  switch (header->nlmsg_type) {
    case NLMSG_ERROR: {
      int error = 0;
      memcpy(&error, payload, sizeof(error));
      reply.error = -error;
      reply.errors.push_back(-error);
      reply.why = ReadWhy(header);
      break;
    }
    case NLMSG_DONE: {
      int error = 0;
      if (header->nlmsg_len >= NLMSG_HDRLEN + sizeof(error)) {
        memcpy(&error, payload, sizeof(error));
      }
      reply.done = true;
      reply.done_error = -error;
      break;
    }
    default:
      reply.objects.push_back(ReadObject(header));
      break;
  }
}

}  // namespace

AcctMessage::AcctMessage(int command, uint16_t flags) {
  bytes_.resize(NLMSG_HDRLEN + Aligned(sizeof(nfgenmsg)));
  header()->nlmsg_type = NFNL_SUBSYS_ACCT << 8 | command;
  header()->nlmsg_flags = NLM_F_REQUEST | flags;
  header()->nlmsg_len = bytes_.size();
  header()->nlmsg_seq = 1;
}

AcctMessage& AcctMessage::Attribute(uint16_t type, absl::string_view payload) {
  nlattr attribute{};
  attribute.nla_type = type;
  attribute.nla_len = NLA_HDRLEN + payload.size();
  bytes_.append(reinterpret_cast<const char*>(&attribute), NLA_HDRLEN);
  bytes_.append(payload.data(), payload.size());
  bytes_.resize(Aligned(bytes_.size()));
  header()->nlmsg_len = bytes_.size();
  return *this;
}

AcctMessage& AcctMessage::Name(absl::string_view name) {
  std::string payload(name);
  payload.push_back('\0');
  return Attribute(NFACCT_NAME, payload);
}

AcctMessage& AcctMessage::U32(uint16_t type, uint32_t value) {
  const uint32_t wire = htobe32(value);
  return Attribute(type,
                   absl::string_view(reinterpret_cast<const char*>(&wire), 4));
}

AcctMessage& AcctMessage::U64(uint16_t type, uint64_t value) {
  const uint64_t wire = htobe64(value);
  return Attribute(type,
                   absl::string_view(reinterpret_cast<const char*>(&wire), 8));
}

AcctMessage& AcctMessage::Nested(uint16_t type, const AcctMessage& inner) {
  return Attribute(type | NLA_F_NESTED,
                   absl::string_view(inner.bytes())
                       .substr(NLMSG_HDRLEN + Aligned(sizeof(nfgenmsg))));
}

AcctMessage& AcctMessage::Raw(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  header()->nlmsg_len = bytes_.size();
  return *this;
}

AcctMessage& AcctMessage::Sequence(uint32_t sequence) {
  header()->nlmsg_seq = sequence;
  return *this;
}

AcctMessage& AcctMessage::ClaimLength(uint32_t length) {
  header()->nlmsg_len = length;
  return *this;
}

AcctPeer::AcctPeer()
    : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)) {
  DieIf(fd_ < 0, "netlink socket");
  const int yes = 1;
  DieIf(setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof(yes)) != 0,
        "netlink extended acks");
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  DieIf(bind(fd_, reinterpret_cast<sockaddr*>(&self), sizeof(self)) != 0,
        "netlink bind");
}

AcctPeer::~AcctPeer() { close(fd_); }

bool AcctPeer::Send(absl::string_view bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  return sendto(fd_, bytes.data(), bytes.size(), 0,
                reinterpret_cast<sockaddr*>(&kernel),
                sizeof(kernel)) == static_cast<ssize_t>(bytes.size());
}

bool AcctPeer::Receive(size_t room, int milliseconds, AcctReply& reply) {
  pollfd ready{fd_, POLLIN, 0};
  errno = 0;
  if (poll(&ready, 1, milliseconds) <= 0) return false;
  std::vector<char> buffer(room);
  const ssize_t length = recv(fd_, buffer.data(), buffer.size(), 0);
  if (length < 0) {
    DieIf(errno != ENOBUFS, "netlink receive");
    return false;
  }
  size_t at = 0;
  while (at + NLMSG_HDRLEN <= static_cast<size_t>(length)) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data() + at);
    if (header->nlmsg_len < NLMSG_HDRLEN ||
        at + header->nlmsg_len > static_cast<size_t>(length)) {
      break;
    }
    Read(header, reply);
    at += Aligned(header->nlmsg_len);
  }
  return true;
}

AcctReply AcctPeer::Exchange(const AcctMessage& message) {
  AcctReply reply;
  DieIf(!Send(message.bytes()), "netlink send");
  while (!reply.error.has_value() && !reply.done) {
    if (!Receive(kLargestDatagram, kPatience, reply)) break;
  }
  return reply;
}

int AcctPeer::Do(const AcctMessage& message) {
  const AcctReply reply = Exchange(message);
  return reply.error.value_or(ETIMEDOUT);
}

void AcctPeer::Join(int group) {
  DieIf(setsockopt(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof(group)) != 0,
        "netlink membership");
}

int AcctPeer::Create(absl::string_view name, uint64_t packets, uint64_t bytes) {
  return Do(
      AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK)
          .Name(name)
          .U64(NFACCT_PKTS, packets)
          .U64(NFACCT_BYTES, bytes));
}

int AcctPeer::Delete(absl::string_view name) {
  return Do(AcctMessage(NFNL_MSG_ACCT_DEL, NLM_F_ACK).Name(name));
}

std::optional<AcctObject> AcctPeer::Get(absl::string_view name) {
  AcctReply reply =
      Exchange(AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_ACK).Name(name));
  if (reply.error != 0 || reply.objects.size() != 1) return std::nullopt;
  return reply.objects[0];
}

AcctReply AcctPeer::Dump(int command) {
  return Exchange(AcctMessage(command, NLM_F_DUMP));
}

}  // namespace nfmeter::testing
