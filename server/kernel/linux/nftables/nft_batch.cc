// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_batch.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/linux/netlink/netlink_message.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/linux/nftables/nft_userdata.h"

namespace nfmeter::kernel {
namespace {

// A key of a set as its bytes.
std::string KeyBytes(const NftBatch::Set& set, uint32_t value) {
  const uint32_t number = set.host_order ? value : htobe32(value);
  std::string bytes(reinterpret_cast<const char*>(&number), sizeof(number));
  return set.host_order ? bytes.substr(0, set.key_bytes)
                        : bytes.substr(sizeof(number) - set.key_bytes);
}

void PutKey(absl::string_view key, AttributeWriter& out) {
  const size_t nest = out.BeginNest(NFTA_SET_ELEM_KEY);
  out.PutBytes(NFTA_DATA_VALUE, key);
  out.EndNest(nest);
}

void PutElement(const NftBatch::Set& set, uint32_t key, bool ends_range,
                AttributeWriter& out) {
  const size_t element = out.BeginNest(NFTA_LIST_ELEM);
  PutKey(KeyBytes(set, key), out);
  if (ends_range) out.PutU32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
  out.EndNest(element);
}

// The kernel keeps ranges as two kinds of elements: where a range begins, and
// where the gap behind it does. A gap before the first range is one, too.
void PutElements(const NftBatch::Set& set, bool intervals,
                 AttributeWriter& out) {
  const size_t list = out.BeginNest(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (intervals && set.elements.front().first != 0) {
    PutElement(set, 0, true, out);
  }
  const uint32_t most =
      static_cast<uint32_t>((uint64_t{1} << (8 * set.key_bytes)) - 1);
  for (size_t i = 0; i < set.elements.size(); ++i) {
    const Range<uint32_t>& range = set.elements[i];
    PutElement(set, range.first, false, out);
    if (intervals && range.last != most) {
      PutElement(set, range.last + 1, true, out);
    }
  }
  out.EndNest(list);
}

bool HasIntervals(const NftBatch::Set& set) {
  for (const Range<uint32_t>& range : set.elements) {
    if (range.first != range.last) return true;
  }
  return false;
}

constexpr char kAnonymousSet[] = "__set%d";

// NFTNL_UDATA_SET_KEYBYTEORDER: 1 is the host's. nft's listing needs it.
std::string HostOrder() {
  const uint32_t order = 1;
  std::string userdata = {'\0', '\x04'};
  userdata.append(reinterpret_cast<const char*>(&order), sizeof(order));
  return userdata;
}

// All elements of a message are in one attribute, whose length has 16 bits.
constexpr size_t kElementsMaxBytes = 60'000;
constexpr size_t kElementMaxBytes = 360;  // with the longest name of an object

constexpr uint32_t kFirstMapId = 0x80000000;

}  // namespace

// A message of the batch about its table, or about what is called so in it.
class NftBatch::Message : public NetlinkRequest {
 public:
  Message(NftBatch& batch, int command, uint16_t flags,
          uint16_t table_attribute)
      : NetlinkRequest(TypeOf(NFNL_SUBSYS_NFTABLES, command), flags,
                       NFPROTO_INET, SequenceOf(Begin(batch)),
                       batch.messages_) {
    PutString(table_attribute, batch.table_);
  }
  Message(NftBatch& batch, int command, uint16_t flags,
          uint16_t table_attribute, uint16_t name_attribute,
          absl::string_view name)
      : Message(batch, command, flags, table_attribute) {
    PutString(name_attribute, name);
  }
  Message(NftBatch& batch, int command, uint16_t flags, NftObjectType type,
          absl::string_view object)
      : Message(batch, command, flags, NFTA_OBJ_TABLE, NFTA_OBJ_NAME, object) {
    PutU32(NFTA_OBJ_TYPE, static_cast<uint32_t>(type));
  }

 private:
  static size_t Begin(NftBatch& batch) {
    batch.starts_.push_back(batch.messages_.size());
    return batch.starts_.size() - 1;
  }
};

void NftBatch::AddTable(uint32_t flags) {
  Message message(*this, NFT_MSG_NEWTABLE, NLM_F_CREATE, NFTA_TABLE_NAME);
  message.PutU32(NFTA_TABLE_FLAGS, flags);
  message.PutBytes(NFTA_TABLE_USERDATA, NftComment(kNftTableMark));
}

void NftBatch::DeleteTable() {
  Message(*this, NFT_MSG_DELTABLE, 0, NFTA_TABLE_NAME);
}

void NftBatch::AddCounter(absl::string_view object, uint64_t packets,
                          uint64_t bytes, absl::string_view userdata) {
  Message message(*this, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL,
                  NftObjectType::kCounter, object);
  const size_t data = message.BeginNest(NFTA_OBJ_DATA);
  message.PutU64(NFTA_COUNTER_BYTES, bytes);
  message.PutU64(NFTA_COUNTER_PACKETS, packets);
  message.EndNest(data);
  if (!userdata.empty()) message.PutBytes(NFTA_OBJ_USERDATA, userdata);
}

void NftBatch::AddQuota(absl::string_view object, uint64_t limit,
                        uint64_t consumed) {
  PutQuota(NLM_F_CREATE | NLM_F_EXCL, object, limit, consumed);
}

// nft_quota_obj_update() takes the limit, and not what was consumed.
void NftBatch::SetQuota(absl::string_view object, uint64_t limit) {
  PutQuota(0, object, limit, 0);
}

void NftBatch::PutQuota(uint16_t flags, absl::string_view object,
                        uint64_t limit, uint64_t consumed) {
  sets_quotas_ = true;
  Message message(*this, NFT_MSG_NEWOBJ, flags, NftObjectType::kQuota, object);
  const size_t data = message.BeginNest(NFTA_OBJ_DATA);
  message.PutU64(NFTA_QUOTA_BYTES, limit);
  message.PutU64(NFTA_QUOTA_CONSUMED, consumed);
  // "over": a rule goes on past it once it is exceeded, as past an nfacct match
  // of a counter with a quota.
  message.PutU32(NFTA_QUOTA_FLAGS, NFT_QUOTA_F_INV);
  message.EndNest(data);
}

void NftBatch::DeleteCounter(absl::string_view object) {
  Message(*this, NFT_MSG_DELOBJ, 0, NftObjectType::kCounter, object);
}

void NftBatch::DeleteQuota(absl::string_view object) {
  Message(*this, NFT_MSG_DELOBJ, 0, NftObjectType::kQuota, object);
}

void NftBatch::AddChain(absl::string_view chain, const NftHook& hook) {
  Message message(*this, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE,
                  NFTA_CHAIN_NAME, chain);
  const size_t nest = message.BeginNest(NFTA_CHAIN_HOOK);
  message.PutU32(NFTA_HOOK_HOOKNUM, static_cast<uint32_t>(hook.point));
  message.PutU32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook.priority));
  message.EndNest(nest);
  message.PutU32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  message.PutString(NFTA_CHAIN_TYPE, hook.type);
}

void NftBatch::AddChain(absl::string_view chain) {
  Message(*this, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE,
          NFTA_CHAIN_NAME, chain);
}

void NftBatch::DeleteChain(absl::string_view chain) {
  Message(*this, NFT_MSG_DELCHAIN, 0, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, chain);
}

void NftBatch::AddSet(const Set& set) {
  const bool intervals = HasIntervals(set);
  {
    Message message(*this, NFT_MSG_NEWSET, NLM_F_CREATE, NFTA_SET_TABLE,
                    NFTA_SET_NAME, kAnonymousSet);
    message.PutU32(NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT |
                                       (intervals ? NFT_SET_INTERVAL : 0));
    message.PutU32(NFTA_SET_KEY_TYPE, set.key_type);
    message.PutU32(NFTA_SET_KEY_LEN, set.key_bytes);
    message.PutU32(NFTA_SET_ID, set.id);
    if (set.host_order) message.PutBytes(NFTA_SET_USERDATA, HostOrder());
  }
  Message message(*this, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL,
                  NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET,
                  kAnonymousSet);
  message.PutU32(NFTA_SET_ELEM_LIST_SET_ID, set.id);
  PutElements(set, intervals, message);
}

void NftBatch::AddMap(const Map& map) {
  Message message(*this, NFT_MSG_NEWSET, NLM_F_CREATE, NFTA_SET_TABLE,
                  NFTA_SET_NAME, map.name);
  message.PutU32(NFTA_SET_FLAGS, map.objects != 0 ? NFT_SET_OBJECT : 0);
  message.PutU32(NFTA_SET_KEY_TYPE, map.key_type);
  message.PutU32(NFTA_SET_KEY_LEN, map.key_bytes);
  if (map.objects != 0) message.PutU32(NFTA_SET_OBJ_TYPE, map.objects);
  // The kernel wants one, but uses only those of sets without a name; so it
  // must not be an id of AddSet().
  message.PutU32(NFTA_SET_ID, kFirstMapId + static_cast<uint32_t>(size()));
  if (map.host_order) message.PutBytes(NFTA_SET_USERDATA, HostOrder());
}

void NftBatch::DeleteMap(absl::string_view map) {
  Message(*this, NFT_MSG_DELSET, 0, NFTA_SET_TABLE, NFTA_SET_NAME, map);
}

void NftBatch::AddElements(absl::string_view map,
                           absl::Span<const MapElement> elements) {
  PutMapElements(NFT_MSG_NEWSETELEM, map, elements);
}

void NftBatch::DeleteElements(absl::string_view map,
                              absl::Span<const MapElement> elements) {
  PutMapElements(NFT_MSG_DELSETELEM, map, elements);
}

void NftBatch::PutMapElements(int command, absl::string_view map,
                              absl::Span<const MapElement> elements) {
  size_t next = 0;
  while (next < elements.size()) {
    Message message(*this, command,
                    command == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
                    NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, map);
    const size_t start = messages_.size();
    const size_t list = message.BeginNest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; next < elements.size() &&
           messages_.size() - start + kElementMaxBytes < kElementsMaxBytes;
         ++next) {
      const size_t element = message.BeginNest(NFTA_LIST_ELEM);
      PutKey(elements[next].key, message);
      if (command == NFT_MSG_NEWSETELEM && !elements[next].object.empty()) {
        message.PutString(NFTA_SET_ELEM_OBJREF, elements[next].object);
      }
      message.EndNest(element);
    }
    message.EndNest(list);
  }
}

void NftBatch::AddRule(absl::string_view chain, const NftRuleBytes& rule,
                       uint32_t number, const Place& place) {
  using Kind = Place::Kind;
  const uint16_t append = place.kind == Kind::kTail ? NLM_F_APPEND : 0;
  Message message(*this, NFT_MSG_NEWRULE, NLM_F_CREATE | append,
                  NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain);
  if (place.kind == Kind::kBefore) {
    message.PutU64(NFTA_RULE_POSITION, place.rule);
  } else if (place.kind == Kind::kBeforeNew) {
    message.PutU32(NFTA_RULE_POSITION_ID, static_cast<uint32_t>(place.rule));
  }
  AppendNftExpressions(rule.expressions, message);
  message.PutBytes(NFTA_RULE_USERDATA, rule.userdata);
  message.PutU32(NFTA_RULE_ID, number);
}

void NftBatch::DeleteRule(absl::string_view chain, uint64_t handle) {
  Message message(*this, NFT_MSG_DELRULE, 0, NFTA_RULE_TABLE, NFTA_RULE_CHAIN,
                  chain);
  message.PutU64(NFTA_RULE_HANDLE, handle);
}

size_t NftBatch::bytes() const {
  constexpr size_t kGenerationBytes = 8;
  return messages_.size() + 2 * kNetlinkHeadBytes + kGenerationBytes;
}

std::string NftBatch::Encode(std::optional<uint32_t> generation,
                             bool commit) const {
  std::string out;
  out.reserve(bytes());
  {
    NetlinkRequest frame(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, kFrameSequence,
                         out, NFNL_SUBSYS_NFTABLES);
    if (generation.has_value()) frame.PutU32(NFNL_BATCH_GENID, *generation);
  }
  const size_t first = out.size();
  out.append(messages_);
  if (!starts_.empty()) {
    // The kernel is to answer the last message even when all goes well: without
    // it, success could not be told from an answer that got lost.
    constexpr size_t kFlagsOffset = offsetof(nlmsghdr, nlmsg_flags);
    char* const flags = out.data() + first + starts_.back() + kFlagsOffset;
    uint16_t value;
    memcpy(&value, flags, sizeof(value));
    value |= NLM_F_ACK;
    memcpy(flags, &value, sizeof(value));
  }
  if (commit) {
    const NetlinkRequest frame(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, kFrameSequence,
                               out, NFNL_SUBSYS_NFTABLES);
  }
  return out;
}

}  // namespace nfmeter::kernel
