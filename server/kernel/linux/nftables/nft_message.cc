// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_message.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <initializer_list>
#include <utility>

namespace nfmeter::kernel {
namespace {

NetlinkRequest Request(int command, uint16_t flags, uint32_t sequence,
                       std::string& out, uint8_t family = NFPROTO_INET) {
  return {NetlinkRequest::TypeOf(NFNL_SUBSYS_NFTABLES, command), flags, family,
          sequence, out};
}

// A question about what these attributes name.
using Names = std::initializer_list<std::pair<uint16_t, absl::string_view>>;
std::string Question(int command, uint16_t flags, const Names& names,
                     uint8_t family = NFPROTO_INET) {
  std::string out;
  {
    NetlinkRequest request = Request(command, flags, 0, out, family);
    for (const auto& [type, name] : names) request.PutString(type, name);
  }
  return out;
}

void AppendOneObject(int command, NftObjectType type, absl::string_view object,
                     uint32_t sequence, std::string& out) {
  NetlinkRequest request = Request(command, 0, sequence, out);
  request.PutString(NFTA_OBJ_TABLE, kNftTable);
  request.PutString(NFTA_OBJ_NAME, object);
  request.PutU32(NFTA_OBJ_TYPE, static_cast<uint32_t>(type));
}

NftMessage::Kind KindOf(uint16_t type) {
  using Kind = NftMessage::Kind;
  if (type == NLMSG_ERROR) return Kind::kError;
  if (type == NLMSG_DONE) return Kind::kDone;
  if (type >> 8 != NFNL_SUBSYS_NFTABLES) return Kind::kOther;
  const int command = type & 0xff;
  return command == NFT_MSG_NEWOBJ    ? Kind::kObject
         : command == NFT_MSG_NEWRULE ? Kind::kRule
                                      : Kind::kAnswer;
}

}  // namespace

std::string NftGetGeneration() {
  return Question(NFT_MSG_GETGEN, 0, {}, AF_UNSPEC);
}

std::string NftGetTable() {
  return Question(NFT_MSG_GETTABLE, 0, {{NFTA_TABLE_NAME, kNftTable}});
}

std::string NftGetChain(absl::string_view chain) {
  return Question(NFT_MSG_GETCHAIN, 0,
                  {{NFTA_CHAIN_TABLE, kNftTable}, {NFTA_CHAIN_NAME, chain}});
}

std::string NftDumpObjects(NftObjectType type) {
  std::string out;
  {
    NetlinkRequest request = Request(NFT_MSG_GETOBJ, NLM_F_DUMP, 0, out);
    request.PutString(NFTA_OBJ_TABLE, kNftTable);
    request.PutU32(NFTA_OBJ_TYPE, static_cast<uint32_t>(type));
  }
  return out;
}

std::string NftDumpChains() {
  return Question(NFT_MSG_GETCHAIN, NLM_F_DUMP,
                  {{NFTA_CHAIN_TABLE, kNftTable}});
}

std::string NftDumpRules(absl::string_view chain) {
  return Question(NFT_MSG_GETRULE, NLM_F_DUMP,
                  {{NFTA_RULE_TABLE, kNftTable}, {NFTA_RULE_CHAIN, chain}});
}

std::string NftDumpSets() {
  return Question(NFT_MSG_GETSET, NLM_F_DUMP, {{NFTA_SET_TABLE, kNftTable}});
}

std::string NftDumpElements(absl::string_view set) {
  return Question(
      NFT_MSG_GETSETELEM, NLM_F_DUMP,
      {{NFTA_SET_ELEM_LIST_TABLE, kNftTable}, {NFTA_SET_ELEM_LIST_SET, set}});
}

void AppendNftGetObject(NftObjectType type, absl::string_view object,
                        uint32_t sequence, std::string& out) {
  AppendOneObject(NFT_MSG_GETOBJ, type, object, sequence, out);
}

void AppendNftResetObject(NftObjectType type, absl::string_view object,
                          uint32_t sequence, std::string& out) {
  AppendOneObject(NFT_MSG_GETOBJ_RESET, type, object, sequence, out);
}

const NftMessage* NftMessageReader::Next() {
  const ByteSpan bytes = TakeNetlinkMessage(rest_);
  if (bytes.empty()) {
    malformed_ |= !rest_.empty();
    return nullptr;
  }
  const auto header = LoadBytes<nlmsghdr>(bytes.data());
  message_.kind = KindOf(header.nlmsg_type);
  message_.sequence = header.nlmsg_seq;
  message_.dump_interrupted = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  message_.family = AF_UNSPEC;
  message_.err = 0;
  message_.attributes = {};
  if (message_.kind == NftMessage::Kind::kError ||
      message_.kind == NftMessage::Kind::kDone) {
    message_.err = NetlinkErrno(bytes.subspan(NLMSG_HDRLEN));
    return &message_;
  }
  if (bytes.size() < kNetlinkHeadBytes) {
    message_.kind = NftMessage::Kind::kOther;
    return &message_;
  }
  message_.family = bytes[NLMSG_HDRLEN];
  message_.attributes = bytes.subspan(kNetlinkHeadBytes);
  return &message_;
}

std::optional<uint32_t> ReadNftGeneration(ByteSpan attributes) {
  const Attributes in(attributes);
  if (in[NFTA_GEN_ID].size() != sizeof(uint32_t)) return std::nullopt;
  return in.U32(NFTA_GEN_ID);
}

std::optional<NftTableInfo> ReadNftTable(ByteSpan attributes) {
  const Attributes in(attributes);
  if (in.Text(NFTA_TABLE_NAME).empty()) return std::nullopt;
  return NftTableInfo{.name = in.Text(NFTA_TABLE_NAME),
                      .flags = in.U32(NFTA_TABLE_FLAGS),
                      .use = in.U32(NFTA_TABLE_USE),
                      .owner = in.U32(NFTA_TABLE_OWNER),
                      .userdata = in[NFTA_TABLE_USERDATA]};
}

bool ReadNftObject(ByteSpan attributes, NftObjectInfo& out) {
  constexpr uint32_t kDepleted = 2;  // NFT_QUOTA_F_DEPLETED
  const Attributes in(attributes);
  out = {.table = in.Text(NFTA_OBJ_TABLE),
         .name = in.Text(NFTA_OBJ_NAME),
         .type = in.U32(NFTA_OBJ_TYPE),
         .handle = in.U64(NFTA_OBJ_HANDLE),
         .use = in.U32(NFTA_OBJ_USE),
         .userdata = in[NFTA_OBJ_USERDATA]};
  const Attributes data(in[NFTA_OBJ_DATA]);
  if (out.type == static_cast<uint32_t>(NftObjectType::kCounter)) {
    out.packets = data.U64(NFTA_COUNTER_PACKETS);
    out.bytes = data.U64(NFTA_COUNTER_BYTES);
  } else if (out.type == static_cast<uint32_t>(NftObjectType::kQuota)) {
    out.limit = data.U64(NFTA_QUOTA_BYTES);
    out.consumed = data.U64(NFTA_QUOTA_CONSUMED);
    out.exceeded = (data.U32(NFTA_QUOTA_FLAGS) & kDepleted) != 0;
  }
  return !out.name.empty();
}

std::optional<NftChainInfo> ReadNftChain(ByteSpan attributes) {
  const Attributes in(attributes);
  if (in.Text(NFTA_CHAIN_NAME).empty()) return std::nullopt;
  const Attributes hook(in[NFTA_CHAIN_HOOK]);
  return NftChainInfo{
      .table = in.Text(NFTA_CHAIN_TABLE),
      .name = in.Text(NFTA_CHAIN_NAME),
      .handle = in.U64(NFTA_CHAIN_HANDLE),
      .use = in.U32(NFTA_CHAIN_USE),
      .base = in.Has(NFTA_CHAIN_HOOK),
      .hook = hook.U32(NFTA_HOOK_HOOKNUM),
      .priority = static_cast<int32_t>(hook.U32(NFTA_HOOK_PRIORITY)),
      .type = in.Text(NFTA_CHAIN_TYPE)};
}

std::optional<NftRuleInfo> ReadNftRule(ByteSpan attributes) {
  const Attributes in(attributes);
  if (in.Text(NFTA_RULE_CHAIN).empty()) return std::nullopt;
  return NftRuleInfo{.chain = in.Text(NFTA_RULE_CHAIN),
                     .handle = in.U64(NFTA_RULE_HANDLE),
                     .expressions = in[NFTA_RULE_EXPRESSIONS],
                     .userdata = in[NFTA_RULE_USERDATA]};
}

std::optional<NftSetInfo> ReadNftSet(ByteSpan attributes) {
  const Attributes in(attributes);
  if (in.Text(NFTA_SET_NAME).empty()) return std::nullopt;
  return NftSetInfo{.table = in.Text(NFTA_SET_TABLE),
                    .name = in.Text(NFTA_SET_NAME),
                    .flags = in.U32(NFTA_SET_FLAGS),
                    .key_type = in.U32(NFTA_SET_KEY_TYPE),
                    .key_bytes = in.U32(NFTA_SET_KEY_LEN),
                    .objects = in.U32(NFTA_SET_OBJ_TYPE)};
}

void ReadNftElements(ByteSpan attributes, std::vector<NftElement>& out) {
  AttributeReader list(FindAttribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS));
  while (list.Next()) {
    const Attributes in(list.payload());
    const ByteSpan key = FindAttribute(in[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE);
    if (key.empty()) continue;
    const uint32_t flags = in.U32(NFTA_SET_ELEM_FLAGS);
    out.push_back({.key = std::string(key.begin(), key.end()),
                   .ends_range = (flags & NFT_SET_ELEM_INTERVAL_END) != 0,
                   .object = std::string(in.Text(NFTA_SET_ELEM_OBJREF))});
  }
}

}  // namespace nfmeter::kernel
