// SPDX-License-Identifier: GPL-3.0-or-later
// nfnetlink_acct spoken byte by byte, so that tests can also say what no
// library would.
#ifndef NFMETER_TESTS_KMOD_PROGRAMS_ACCT_PEER_H_
#define NFMETER_TESTS_KMOD_PROGRAMS_ACCT_PEER_H_

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::testing {

// A message under construction. Numbers go out big-endian, as nfacct has them.
class AcctMessage {
 public:
  AcctMessage(int command, uint16_t flags);

  // Any bytes under any type; `type` may carry NLA_F_* bits.
  AcctMessage& Attribute(uint16_t type, absl::string_view payload);
  AcctMessage& Name(absl::string_view name);  // with its NUL
  AcctMessage& U32(uint16_t type, uint32_t value);
  AcctMessage& U64(uint16_t type, uint64_t value);
  // An attribute with attributes in it, as another message has them.
  AcctMessage& Nested(uint16_t type, const AcctMessage& inner);
  // Bytes as they are, no header of any kind.
  AcctMessage& Raw(absl::string_view bytes);
  AcctMessage& Sequence(uint32_t sequence);
  // Says that the message is this long, whatever it is.
  AcctMessage& ClaimLength(uint32_t length);

  const std::string& bytes() const { return bytes_; }
  std::string& bytes() { return bytes_; }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }

  std::string bytes_;
};

struct AcctObject {
  std::string name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint32_t use = 0;
  std::optional<uint32_t> flags;
  std::optional<uint64_t> quota;
};

struct AcctReply {
  std::optional<int> error;  // errno of the ack, 0 included; of the last one
  std::vector<int> errors;   // of all acks
  std::string why;           // what the kernel says to the last one
  bool done = false;         // a dump came to its end
  int done_error = 0;
  bool interrupted = false;         // NLM_F_DUMP_INTR was set on some part
  bool object_interrupted = false;  // and on one that is not the end
  std::vector<AcctObject> objects;
};

// One netlink socket. Not thread-safe. Dies (as a failed test does) when the
// socket itself fails.
class AcctPeer {
 public:
  AcctPeer();
  ~AcctPeer();
  AcctPeer(const AcctPeer&) = delete;
  AcctPeer& operator=(const AcctPeer&) = delete;

  // Sends; waits for the ack or, of a dump, for the end.
  AcctReply Exchange(const AcctMessage& message);
  // errno of the ack.
  int Do(const AcctMessage& message);
  // From now on, Receive() has the events of a group (NFNLGRP_*), too.
  void Join(int group);

  // The steps of Exchange() one by one. Send() is false with errno set where
  // the kernel does not take the bytes at all.
  bool Send(absl::string_view bytes);
  // Reads one datagram of at most `room` bytes into `reply`. False when there
  // is none within `milliseconds` or, with errno set, on ENOBUFS.
  bool Receive(size_t room, int milliseconds, AcctReply& reply);

  int Create(absl::string_view name, uint64_t packets = 0, uint64_t bytes = 0);
  int Delete(absl::string_view name);
  std::optional<AcctObject> Get(absl::string_view name);
  AcctReply Dump(int command = NFNL_MSG_ACCT_GET);

  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_KMOD_PROGRAMS_ACCT_PEER_H_
