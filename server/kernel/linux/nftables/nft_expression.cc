// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_expression.h"

#include <linux/netfilter/nf_tables.h>

#include <utility>

namespace nfmeter::kernel {
namespace {

constexpr uint32_t kRegister = NFT_REG_1;

// The register behind a first value of as many bytes.
uint32_t SecondRegister(size_t bytes) {
  return bytes == sizeof(uint32_t) ? NFT_REG32_01 : NFT_REG_2;
}
uint32_t RegisterOf(bool second, size_t bytes) {
  return second ? SecondRegister(bytes) : kRegister;
}

void PutData(uint16_t type, absl::string_view value, AttributeWriter& out) {
  const size_t nest = out.BeginNest(type);
  out.PutBytes(NFTA_DATA_VALUE, value);
  out.EndNest(nest);
}

std::string ReadData(ByteSpan payload) {
  const ByteSpan value = FindAttribute(payload, NFTA_DATA_VALUE);
  return std::string(value.begin(), value.end());
}

// Writes one expression's attributes and says its name.
struct Writer {
  AttributeWriter& out;

  void operator()(const NftMeta& meta) const {
    out.PutU32(NFTA_META_KEY, meta.key);
    out.PutU32(NFTA_META_DREG, kRegister);
  }
  void operator()(const NftPayload& payload) const {
    out.PutU32(NFTA_PAYLOAD_DREG, RegisterOf(payload.second, payload.bytes));
    out.PutU32(NFTA_PAYLOAD_BASE, payload.base);
    out.PutU32(NFTA_PAYLOAD_OFFSET, payload.offset);
    out.PutU32(NFTA_PAYLOAD_LEN, payload.bytes);
  }
  void operator()(const NftCt& ct) const {
    out.PutU32(NFTA_CT_KEY, ct.key);
    out.PutU32(NFTA_CT_DREG, kRegister);
  }
  void operator()(const NftSocket& socket) const {
    out.PutU32(NFTA_SOCKET_KEY, socket.key);
    out.PutU32(NFTA_SOCKET_DREG, kRegister);
    out.PutU32(NFTA_SOCKET_LEVEL, socket.level);
  }
  void operator()(const NftFib& fib) const {
    out.PutU32(NFTA_FIB_DREG, kRegister);
    out.PutU32(NFTA_FIB_RESULT, fib.result);
    out.PutU32(NFTA_FIB_FLAGS, fib.flags);
  }
  void operator()(const NftBitwise& bitwise) const {
    Put({bitwise.mask, std::string(bitwise.mask.size(), '\0')},
        RegisterOf(bitwise.second, bitwise.mask.size()));
  }
  void operator()(const NftFlip& flip) const { Put(flip, kRegister); }
  void Put(const NftFlip& flip, uint32_t where) const {
    out.PutU32(NFTA_BITWISE_SREG, where);
    out.PutU32(NFTA_BITWISE_DREG, where);
    out.PutU32(NFTA_BITWISE_LEN, flip.mask.size());
    PutData(NFTA_BITWISE_MASK, flip.mask, out);
    PutData(NFTA_BITWISE_XOR, flip.flip, out);
  }
  void operator()(const NftToNetworkOrder&) const {
    out.PutU32(NFTA_BYTEORDER_SREG, kRegister);
    out.PutU32(NFTA_BYTEORDER_DREG, kRegister);
    out.PutU32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    out.PutU32(NFTA_BYTEORDER_LEN, sizeof(uint32_t));
    out.PutU32(NFTA_BYTEORDER_SIZE, sizeof(uint32_t));
  }
  void operator()(const NftCompare& compare) const {
    out.PutU32(NFTA_CMP_SREG, kRegister);
    out.PutU32(NFTA_CMP_OP, compare.operation);
    PutData(NFTA_CMP_DATA, compare.value, out);
  }
  void operator()(const NftOutside& outside) const {
    out.PutU32(NFTA_RANGE_SREG, kRegister);
    out.PutU32(NFTA_RANGE_OP, NFT_RANGE_NEQ);
    PutData(NFTA_RANGE_FROM_DATA, outside.first, out);
    PutData(NFTA_RANGE_TO_DATA, outside.last, out);
  }
  void operator()(const NftLookup& lookup) const {
    out.PutU32(NFTA_LOOKUP_SREG, kRegister);
    out.PutString(NFTA_LOOKUP_SET, lookup.set);
    out.PutU32(NFTA_LOOKUP_SET_ID, lookup.id);
    if (lookup.negated) out.PutU32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  }
  void operator()(const NftCounter& counter) const {
    out.PutU64(NFTA_COUNTER_BYTES, counter.bytes);
    out.PutU64(NFTA_COUNTER_PACKETS, counter.packets);
  }
  void operator()(const NftObject& object) const {
    out.PutU32(NFTA_OBJREF_IMM_TYPE, object.type);
    out.PutString(NFTA_OBJREF_IMM_NAME, object.name);
  }
  void operator()(const NftObjectMap& object) const {
    // The kernel knows the type by the map.
    out.PutU32(NFTA_OBJREF_SET_SREG, kRegister);
    out.PutString(NFTA_OBJREF_SET_NAME, object.map);
  }
  void operator()(const NftSetMeta& meta) const {
    out.PutU32(NFTA_META_KEY, meta.key);
    out.PutU32(NFTA_META_SREG, kRegister);
  }
  void operator()(const NftImmediate& immediate) const {
    out.PutU32(NFTA_IMMEDIATE_DREG, kRegister);
    PutData(NFTA_IMMEDIATE_DATA, immediate.value, out);
  }
  void operator()(const NftReject& reject) const {
    out.PutU32(NFTA_REJECT_TYPE, reject.type);
    out.PutU8(NFTA_REJECT_ICMP_CODE, reject.code);
  }
  void operator()(const NftVerdict& verdict) const {
    out.PutU32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    const size_t data = out.BeginNest(NFTA_IMMEDIATE_DATA);
    const size_t nest = out.BeginNest(NFTA_DATA_VERDICT);
    out.PutU32(NFTA_VERDICT_CODE, static_cast<uint32_t>(verdict.code));
    if (!verdict.chain.empty()) {
      out.PutString(NFTA_VERDICT_CHAIN, verdict.chain);
    }
    out.EndNest(nest);
    out.EndNest(data);
  }
  void operator()(const NftUnknown&) const {}
};

struct NameOf {
  const char* operator()(const NftMeta&) const { return "meta"; }
  const char* operator()(const NftPayload&) const { return "payload"; }
  const char* operator()(const NftCt&) const { return "ct"; }
  const char* operator()(const NftSocket&) const { return "socket"; }
  const char* operator()(const NftFib&) const { return "fib"; }
  const char* operator()(const NftBitwise&) const { return "bitwise"; }
  const char* operator()(const NftToNetworkOrder&) const { return "byteorder"; }
  const char* operator()(const NftCompare&) const { return "cmp"; }
  const char* operator()(const NftOutside&) const { return "range"; }
  const char* operator()(const NftLookup&) const { return "lookup"; }
  const char* operator()(const NftCounter&) const { return "counter"; }
  const char* operator()(const NftObject&) const { return "objref"; }
  const char* operator()(const NftObjectMap&) const { return "objref"; }
  const char* operator()(const NftFlip&) const { return "bitwise"; }
  const char* operator()(const NftSetMeta&) const { return "meta"; }
  const char* operator()(const NftImmediate&) const { return "immediate"; }
  const char* operator()(const NftReject&) const { return "reject"; }
  const char* operator()(const NftVerdict&) const { return "immediate"; }
  const char* operator()(const NftUnknown& e) const { return e.name.c_str(); }
};

// The attributes of an expression, by type. What is read is crossed off: what
// is left in the end is not understood, and may change the meaning.
class Fields {
 public:
  explicit Fields(ByteSpan payload)
      : in_(payload), left_(in_.given()), odd_(in_.odd()) {}

  // 0 where it is missing; then the expression is not whole.
  uint32_t U32(uint16_t type) {
    odd_ |= Take(type).size() != sizeof(uint32_t);
    return in_.U32(type);
  }
  uint32_t U32Or(uint16_t type, uint32_t otherwise) {
    return Has(type) ? U32(type) : otherwise;
  }
  uint64_t U64(uint16_t type) {
    odd_ |= Take(type).size() != sizeof(uint64_t);
    return in_.U64(type);
  }
  std::string Text(uint16_t type) {
    Take(type);
    odd_ |= in_.Text(type).empty();
    return std::string(in_.Text(type));
  }
  std::string Data(uint16_t type) {
    std::string data = ReadData(Take(type));
    odd_ |= data.empty();
    return data;
  }
  ByteSpan Take(uint16_t type) {
    left_ &= ~(1u << type);
    return in_[type];
  }
  bool Has(uint16_t type) const { return in_.Has(type); }
  // The field must have this value.
  void Expect(uint16_t type, uint32_t value) { odd_ |= U32(type) != value; }
  // The field must name a register for so many bytes. True: the second one.
  bool IsSecond(uint16_t type, size_t bytes) {
    const uint32_t where = U32(type);
    const bool second =
        (bytes == 4 || bytes == 16) && where == SecondRegister(bytes);
    odd_ |= where != kRegister && !second;
    return second;
  }

  // All was as it should, and all was read.
  bool IsWhole() const { return !odd_ && left_ == 0; }

 private:
  const Attributes in_;
  uint32_t left_;
  bool odd_;
};

NftExpression ReadMeta(Fields& in) {
  if (in.Has(NFTA_META_SREG)) {
    in.Expect(NFTA_META_SREG, kRegister);
    return NftSetMeta{in.U32(NFTA_META_KEY)};
  }
  in.Expect(NFTA_META_DREG, kRegister);
  return NftMeta{in.U32(NFTA_META_KEY)};
}

NftExpression ReadPayload(Fields& in) {
  NftPayload payload = {.base = in.U32(NFTA_PAYLOAD_BASE),
                        .offset = in.U32(NFTA_PAYLOAD_OFFSET),
                        .bytes = in.U32(NFTA_PAYLOAD_LEN)};
  payload.second = in.IsSecond(NFTA_PAYLOAD_DREG, payload.bytes);
  return payload;
}

NftExpression ReadCt(Fields& in) {
  in.Expect(NFTA_CT_DREG, kRegister);
  return NftCt{in.U32(NFTA_CT_KEY)};
}

NftExpression ReadSocket(Fields& in) {
  in.Expect(NFTA_SOCKET_DREG, kRegister);
  return NftSocket{.key = in.U32(NFTA_SOCKET_KEY),
                   .level = in.U32Or(NFTA_SOCKET_LEVEL, 0)};
}

NftExpression ReadFib(Fields& in) {
  in.Expect(NFTA_FIB_DREG, kRegister);
  return NftFib{.result = in.U32(NFTA_FIB_RESULT),
                .flags = in.U32(NFTA_FIB_FLAGS)};
}

NftExpression ReadBitwise(Fields& in) {
  const uint32_t bytes = in.U32(NFTA_BITWISE_LEN);
  const bool second = in.IsSecond(NFTA_BITWISE_SREG, bytes);
  in.Expect(NFTA_BITWISE_DREG, RegisterOf(second, bytes));
  // NFT_BITWISE_MASK_XOR; kernels before 5.6 know no other and leave it out.
  if (in.U32Or(NFTA_BITWISE_OP, 0) != 0) return NftUnknown{};
  NftFlip flip = {in.Data(NFTA_BITWISE_MASK), in.Data(NFTA_BITWISE_XOR)};
  if (flip.mask.size() != bytes || flip.flip.size() != bytes) {
    return NftUnknown{};
  }
  if (flip.flip == std::string(bytes, '\0')) {
    return NftBitwise{flip.mask, second};
  }
  if (second) return NftUnknown{};
  return flip;
}

NftExpression ReadByteorder(Fields& in) {
  in.Expect(NFTA_BYTEORDER_SREG, kRegister);
  in.Expect(NFTA_BYTEORDER_DREG, kRegister);
  in.Expect(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
  in.Expect(NFTA_BYTEORDER_LEN, sizeof(uint32_t));
  in.Expect(NFTA_BYTEORDER_SIZE, sizeof(uint32_t));
  return NftToNetworkOrder{};
}

NftExpression ReadCompare(Fields& in) {
  in.Expect(NFTA_CMP_SREG, kRegister);
  return NftCompare{.operation = in.U32(NFTA_CMP_OP),
                    .value = in.Data(NFTA_CMP_DATA)};
}

NftExpression ReadRange(Fields& in) {
  in.Expect(NFTA_RANGE_SREG, kRegister);
  in.Expect(NFTA_RANGE_OP, NFT_RANGE_NEQ);
  return NftOutside{.first = in.Data(NFTA_RANGE_FROM_DATA),
                    .last = in.Data(NFTA_RANGE_TO_DATA)};
}

NftExpression ReadLookup(Fields& in) {
  in.Expect(NFTA_LOOKUP_SREG, kRegister);
  const uint32_t flags = in.U32Or(NFTA_LOOKUP_FLAGS, 0);
  if ((flags & ~uint32_t{NFT_LOOKUP_F_INV}) != 0) return NftUnknown{};
  return NftLookup{.set = in.Text(NFTA_LOOKUP_SET), .negated = flags != 0};
}

NftExpression ReadCounter(Fields& in) {
  return NftCounter{.packets = in.U64(NFTA_COUNTER_PACKETS),
                    .bytes = in.U64(NFTA_COUNTER_BYTES)};
}

NftExpression ReadObject(Fields& in) {
  if (in.Has(NFTA_OBJREF_SET_NAME)) {
    in.Expect(NFTA_OBJREF_SET_SREG, kRegister);
    return NftObjectMap{.map = in.Text(NFTA_OBJREF_SET_NAME)};
  }
  return NftObject{.type = in.U32(NFTA_OBJREF_IMM_TYPE),
                   .name = in.Text(NFTA_OBJREF_IMM_NAME)};
}

NftExpression ReadReject(Fields& in) {
  const uint32_t type = in.U32(NFTA_REJECT_TYPE);
  const ByteSpan code = in.Take(NFTA_REJECT_ICMP_CODE);
  return NftReject{type, code.size() == 1 ? code[0] : uint8_t{0}};
}

NftExpression ReadImmediate(Fields& in) {
  if (in.U32(NFTA_IMMEDIATE_DREG) != NFT_REG_VERDICT) {
    return NftImmediate{in.Data(NFTA_IMMEDIATE_DATA)};
  }
  const ByteSpan data = in.Take(NFTA_IMMEDIATE_DATA);
  Fields verdict(FindAttribute(data, NFTA_DATA_VERDICT));
  NftVerdict out{static_cast<int32_t>(verdict.U32(NFTA_VERDICT_CODE))};
  if (verdict.Has(NFTA_VERDICT_CHAIN)) {
    out.chain = verdict.Text(NFTA_VERDICT_CHAIN);
  }
  if (!verdict.IsWhole()) return NftUnknown{};
  return out;
}

using ReadFunction = NftExpression (*)(Fields&);

constexpr std::pair<absl::string_view, ReadFunction> kReaders[] = {
    {"meta", ReadMeta},
    {"payload", ReadPayload},
    {"ct", ReadCt},
    {"socket", ReadSocket},
    {"fib", ReadFib},
    {"bitwise", ReadBitwise},
    {"byteorder", ReadByteorder},
    {"cmp", ReadCompare},
    {"range", ReadRange},
    {"lookup", ReadLookup},
    {"counter", ReadCounter},
    {"objref", ReadObject},
    {"immediate", ReadImmediate},
    {"reject", ReadReject},
};

NftExpression ReadExpression(ByteSpan element) {
  const Attributes in(element);
  const absl::string_view name = in.Text(NFTA_EXPR_NAME);
  for (const auto& [known, read] : kReaders) {
    if (known != name) continue;
    Fields fields(in[NFTA_EXPR_DATA]);
    NftExpression expression = read(fields);
    if (!fields.IsWhole() || std::holds_alternative<NftUnknown>(expression)) {
      break;
    }
    return expression;
  }
  return NftUnknown{std::string(name)};
}

}  // namespace

void AppendNftExpressions(const std::vector<NftExpression>& expressions,
                          AttributeWriter& out) {
  const size_t list = out.BeginNest(NFTA_RULE_EXPRESSIONS);
  for (const NftExpression& expression : expressions) {
    const size_t element = out.BeginNest(NFTA_LIST_ELEM);
    out.PutString(NFTA_EXPR_NAME, std::visit(NameOf{}, expression));
    const size_t data = out.BeginNest(NFTA_EXPR_DATA);
    std::visit(Writer{out}, expression);
    out.EndNest(data);
    out.EndNest(element);
  }
  out.EndNest(list);
}

std::vector<NftExpression> ReadNftExpressions(ByteSpan payload) {
  std::vector<NftExpression> expressions;
  AttributeReader reader(payload);
  while (reader.Next()) {
    if (reader.type() == NFTA_LIST_ELEM) {
      expressions.push_back(ReadExpression(reader.payload()));
    }
  }
  if (reader.malformed()) expressions.push_back(NftUnknown{"unreadable"});
  return expressions;
}

}  // namespace nfmeter::kernel
