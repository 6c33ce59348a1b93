// SPDX-License-Identifier: GPL-3.0-or-later
// Questions to the kernel's nf_tables and what it answers. Pure: nothing
// outside the given spans is read.
//
// Layout: include/uapi/linux/netfilter/nf_tables.h.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_MESSAGE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "kernel/linux/netlink/netlink_message.h"
#include "kernel/linux/nftables/nft_batch.h"

namespace nfmeter::kernel {

// The kernel's numbers of the kinds of objects that we use.
enum class NftObjectType : uint32_t { kCounter = 1, kQuota = 2 };

// Questions; whoever sends one gives it its sequence number. Answered by one
// message or one error.
std::string NftGetGeneration();
std::string NftGetTable();
std::string NftGetChain(absl::string_view chain);

// Answered by messages and an end. Of our table.
std::string NftDumpObjects(NftObjectType type);
std::string NftDumpChains();
std::string NftDumpRules(absl::string_view chain);
std::string NftDumpSets();
std::string NftDumpElements(absl::string_view set);

// Appends one of many questions. Answered by one message or one error.
void AppendNftGetObject(NftObjectType type, absl::string_view object,
                        uint32_t sequence, std::string& out);
// The same, and zeroes it, in one step.
void AppendNftResetObject(NftObjectType type, absl::string_view object,
                          uint32_t sequence, std::string& out);

// One message from the kernel.
struct NftMessage {
  enum class Kind {
    kObject,
    kRule,
    kAnswer,  // something else of nf_tables
    kError,   // `err` is set; 0 acknowledges
    kDone,    // the end of a dump; `err` is set, 0 when it went well
    kOther,   // not for us
  };
  Kind kind = Kind::kOther;
  uint32_t sequence = 0;
  uint8_t family = 0;             // NFPROTO_*
  bool dump_interrupted = false;  // NLM_F_DUMP_INTR
  int err = 0;                    // positive errno
  ByteSpan attributes;            // lies in the datagram
};

// Walks over the messages of one datagram, which must outlive it. Ends at the
// first whose length is impossible.
class NftMessageReader {
 public:
  explicit NftMessageReader(ByteSpan datagram) : rest_(datagram) {}

  // The next message, which stands until the one after it is asked for; null
  // at the end.
  const NftMessage* Next();

  // The walk ended before the datagram did.
  bool malformed() const { return malformed_; }

 private:
  ByteSpan rest_;
  NftMessage message_;
  bool malformed_ = false;
};

// The readers of each kind's attributes. Texts lie in the datagram. What is
// unknown or has an unexpected size is passed over; nullopt: without what it
// can't be told by.

std::optional<uint32_t> ReadNftGeneration(ByteSpan attributes);

struct NftTableInfo {
  absl::string_view name;
  uint32_t flags = 0;
  uint32_t use = 0;    // chains, sets, objects and flowtables
  uint32_t owner = 0;  // netlink port of the owner; 0: none
  ByteSpan userdata;
};
std::optional<NftTableInfo> ReadNftTable(ByteSpan attributes);

struct NftObjectInfo {
  absl::string_view table;
  absl::string_view name;
  uint32_t type = 0;
  uint64_t handle = 0;
  uint32_t use = 0;
  ByteSpan userdata;
  // Counters.
  uint64_t packets = 0;
  uint64_t bytes = 0;
  // Quotas.
  uint64_t limit = 0;
  uint64_t consumed = 0;
  bool exceeded = false;
};
// False: without a name. Fills what is given: thousands come in a row.
bool ReadNftObject(ByteSpan attributes, NftObjectInfo& out);

struct NftChainInfo {
  absl::string_view table;
  absl::string_view name;
  uint64_t handle = 0;
  uint32_t use = 0;  // rules in it, and jumps to it
  bool base = false;
  uint32_t hook = 0;
  int32_t priority = 0;
  absl::string_view type;
};
std::optional<NftChainInfo> ReadNftChain(ByteSpan attributes);

struct NftRuleInfo {
  absl::string_view chain;
  uint64_t handle = 0;
  ByteSpan expressions;
  ByteSpan userdata;
};
std::optional<NftRuleInfo> ReadNftRule(ByteSpan attributes);

struct NftSetInfo {
  absl::string_view table;
  absl::string_view name;
  uint32_t flags = 0;
  uint32_t key_type = 0;
  uint32_t key_bytes = 0;
  uint32_t objects = 0;  // their type, of a map to objects
};
std::optional<NftSetInfo> ReadNftSet(ByteSpan attributes);

// One element of a set: its key, and whether a range ends before it. Of a map
// to objects the name of that.
struct NftElement {
  std::string key;
  bool ends_range = false;
  std::string object;
};
// Appends those of one message.
void ReadNftElements(ByteSpan attributes, std::vector<NftElement>& out);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_MESSAGE_H_
