// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_message.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

namespace nfmeter::kernel {
namespace {

NetlinkRequest Question(int command, uint16_t flags, uint32_t sequence,
                        std::string& out, uint8_t family = NFPROTO_INET) {
  return {NetlinkRequest::TypeOf(NFNL_SUBSYS_NFTABLES, command), flags, family,
          sequence, out};
}

void AppendOneObject(int command, NftObjectType type, absl::string_view object,
                     uint32_t sequence, std::string& out) {
  NetlinkRequest question = Question(command, 0, sequence, out);
  question.PutString(NFTA_OBJ_TABLE, kNftTable);
  question.PutString(NFTA_OBJ_NAME, object);
  question.PutU32(NFTA_OBJ_TYPE, static_cast<uint32_t>(type));
}

NftMessage::Kind KindOf(uint16_t type) {
  using Kind = NftMessage::Kind;
  switch (type) {
    case NLMSG_ERROR:
      return Kind::kError;
    case NLMSG_DONE:
      return Kind::kDone;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN:
      return Kind::kGeneration;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE:
      return Kind::kTable;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN:
      return Kind::kChain;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE:
      return Kind::kRule;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSET:
      return Kind::kSet;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSETELEM:
      return Kind::kElements;
    case (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWOBJ:
      return Kind::kObject;
    default:
      return Kind::kOther;
  }
}

void ReadCounterData(ByteSpan payload, NftObjectInfo& out) {
  AttributeReader reader(payload);
  while (reader.Next()) {
    if (reader.type() == NFTA_COUNTER_PACKETS) {
      out.packets = reader.U64().value_or(0);
    } else if (reader.type() == NFTA_COUNTER_BYTES) {
      out.bytes = reader.U64().value_or(0);
    }
  }
}

void ReadQuotaData(ByteSpan payload, NftObjectInfo& out) {
  AttributeReader reader(payload);
  while (reader.Next()) {
    if (reader.type() == NFTA_QUOTA_BYTES) {
      out.limit = reader.U64().value_or(0);
    } else if (reader.type() == NFTA_QUOTA_CONSUMED) {
      out.consumed = reader.U64().value_or(0);
    } else if (reader.type() == NFTA_QUOTA_FLAGS) {
      // NFT_QUOTA_F_DEPLETED.
      out.exceeded = (reader.U32().value_or(0) & 2) != 0;
    }
  }
}

}  // namespace

void AppendNftGetGeneration(uint32_t sequence, std::string& out) {
  Question(NFT_MSG_GETGEN, 0, sequence, out, AF_UNSPEC);
}

void AppendNftGetTable(uint32_t sequence, std::string& out) {
  NetlinkRequest question = Question(NFT_MSG_GETTABLE, 0, sequence, out);
  question.PutString(NFTA_TABLE_NAME, kNftTable);
}

void AppendNftGetChain(absl::string_view chain, uint32_t sequence,
                       std::string& out) {
  NetlinkRequest question = Question(NFT_MSG_GETCHAIN, 0, sequence, out);
  question.PutString(NFTA_CHAIN_TABLE, kNftTable);
  question.PutString(NFTA_CHAIN_NAME, chain);
}

void AppendNftGetObject(NftObjectType type, absl::string_view object,
                        uint32_t sequence, std::string& out) {
  AppendOneObject(NFT_MSG_GETOBJ, type, object, sequence, out);
}

void AppendNftResetObject(NftObjectType type, absl::string_view object,
                          uint32_t sequence, std::string& out) {
  AppendOneObject(NFT_MSG_GETOBJ_RESET, type, object, sequence, out);
}

void AppendNftDumpObjects(NftObjectType type, uint32_t sequence,
                          std::string& out) {
  NetlinkRequest question = Question(NFT_MSG_GETOBJ, NLM_F_DUMP, sequence, out);
  question.PutString(NFTA_OBJ_TABLE, kNftTable);
  question.PutU32(NFTA_OBJ_TYPE, static_cast<uint32_t>(type));
}

void AppendNftDumpChains(uint32_t sequence, std::string& out) {
  NetlinkRequest question =
      Question(NFT_MSG_GETCHAIN, NLM_F_DUMP, sequence, out);
  question.PutString(NFTA_CHAIN_TABLE, kNftTable);
}

void AppendNftDumpRules(absl::string_view chain, uint32_t sequence,
                        std::string& out) {
  NetlinkRequest question =
      Question(NFT_MSG_GETRULE, NLM_F_DUMP, sequence, out);
  question.PutString(NFTA_RULE_TABLE, kNftTable);
  question.PutString(NFTA_RULE_CHAIN, chain);
}

void AppendNftDumpSets(uint32_t sequence, std::string& out) {
  NetlinkRequest question = Question(NFT_MSG_GETSET, NLM_F_DUMP, sequence, out);
  question.PutString(NFTA_SET_TABLE, kNftTable);
}

void AppendNftDumpElements(absl::string_view set, uint32_t sequence,
                           std::string& out) {
  NetlinkRequest question =
      Question(NFT_MSG_GETSETELEM, NLM_F_DUMP, sequence, out);
  question.PutString(NFTA_SET_ELEM_LIST_TABLE, kNftTable);
  question.PutString(NFTA_SET_ELEM_LIST_SET, set);
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
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == NFTA_GEN_ID) return reader.U32();
  }
  return std::nullopt;
}

std::optional<NftTableInfo> ReadNftTable(ByteSpan attributes) {
  NftTableInfo out;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    switch (reader.type()) {
      case NFTA_TABLE_NAME:
        out.name = reader.Text();
        break;
      case NFTA_TABLE_FLAGS:
        out.flags = reader.U32().value_or(0);
        break;
      case NFTA_TABLE_USE:
        out.use = reader.U32().value_or(0);
        break;
      case NFTA_TABLE_OWNER:
        out.owner = reader.U32().value_or(0);
        break;
      case NFTA_TABLE_USERDATA:
        out.userdata = reader.payload();
        break;
      default:
        break;
    }
  }
  if (out.name.empty()) return std::nullopt;
  return out;
}

bool ReadNftObject(ByteSpan attributes, NftObjectInfo& out) {
  out = NftObjectInfo();
  ByteSpan data;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    switch (reader.type()) {
      case NFTA_OBJ_TABLE:
        out.table = reader.Text();
        break;
      case NFTA_OBJ_NAME:
        out.name = reader.Text();
        break;
      case NFTA_OBJ_TYPE:
        out.type = reader.U32().value_or(0);
        break;
      case NFTA_OBJ_HANDLE:
        out.handle = reader.U64().value_or(0);
        break;
      case NFTA_OBJ_USE:
        out.use = reader.U32().value_or(0);
        break;
      case NFTA_OBJ_DATA:
        data = reader.payload();
        break;
      case NFTA_OBJ_USERDATA:
        out.userdata = reader.payload();
        break;
      default:
        break;
    }
  }
  if (out.type == static_cast<uint32_t>(NftObjectType::kCounter)) {
    ReadCounterData(data, out);
  } else if (out.type == static_cast<uint32_t>(NftObjectType::kQuota)) {
    ReadQuotaData(data, out);
  }
  return !out.name.empty();
}

std::optional<NftChainInfo> ReadNftChain(ByteSpan attributes) {
  NftChainInfo out;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    switch (reader.type()) {
      case NFTA_CHAIN_TABLE:
        out.table = reader.Text();
        break;
      case NFTA_CHAIN_NAME:
        out.name = reader.Text();
        break;
      case NFTA_CHAIN_HANDLE:
        out.handle = reader.U64().value_or(0);
        break;
      case NFTA_CHAIN_USE:
        out.use = reader.U32().value_or(0);
        break;
      case NFTA_CHAIN_TYPE:
        out.type = reader.Text();
        break;
      case NFTA_CHAIN_HOOK: {
        out.base = true;
        AttributeReader hook(reader.payload());
        while (hook.Next()) {
          if (hook.type() == NFTA_HOOK_HOOKNUM) {
            out.hook = hook.U32().value_or(0);
          } else if (hook.type() == NFTA_HOOK_PRIORITY) {
            out.priority = static_cast<int32_t>(hook.U32().value_or(0));
          }
        }
        break;
      }
      default:
        break;
    }
  }
  if (out.name.empty()) return std::nullopt;
  return out;
}

std::optional<NftRuleInfo> ReadNftRule(ByteSpan attributes) {
  NftRuleInfo out;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    switch (reader.type()) {
      case NFTA_RULE_CHAIN:
        out.chain = reader.Text();
        break;
      case NFTA_RULE_HANDLE:
        out.handle = reader.U64().value_or(0);
        break;
      case NFTA_RULE_EXPRESSIONS:
        out.expressions = reader.payload();
        break;
      case NFTA_RULE_USERDATA:
        out.userdata = reader.payload();
        break;
      default:
        break;
    }
  }
  if (out.chain.empty()) return std::nullopt;
  return out;
}

std::optional<NftSetInfo> ReadNftSet(ByteSpan attributes) {
  NftSetInfo out;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == NFTA_SET_TABLE) {
      out.table = reader.Text();
    } else if (reader.type() == NFTA_SET_NAME) {
      out.name = reader.Text();
    } else if (reader.type() == NFTA_SET_FLAGS) {
      out.flags = reader.U32().value_or(0);
    } else if (reader.type() == NFTA_SET_KEY_TYPE) {
      out.key_type = reader.U32().value_or(0);
    } else if (reader.type() == NFTA_SET_KEY_LEN) {
      out.key_bytes = reader.U32().value_or(0);
    } else if (reader.type() == NFTA_SET_OBJ_TYPE) {
      out.objects = reader.U32().value_or(0);
    }
  }
  if (out.name.empty()) return std::nullopt;
  return out;
}

void ReadNftElements(ByteSpan attributes, std::vector<NftElement>& out) {
  AttributeReader list(FindAttribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS));
  while (list.Next()) {
    NftElement element;
    AttributeReader reader(list.payload());
    while (reader.Next()) {
      if (reader.type() == NFTA_SET_ELEM_KEY) {
        const ByteSpan key = FindAttribute(reader.payload(), NFTA_DATA_VALUE);
        element.key.assign(key.begin(), key.end());
      } else if (reader.type() == NFTA_SET_ELEM_FLAGS) {
        element.ends_range =
            (reader.U32().value_or(0) & NFT_SET_ELEM_INTERVAL_END) != 0;
      } else if (reader.type() == NFTA_SET_ELEM_OBJREF) {
        element.object = std::string(reader.Text());
      }
    }
    if (!element.key.empty()) out.push_back(std::move(element));
  }
}

}  // namespace nfmeter::kernel
