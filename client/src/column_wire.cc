// SPDX-License-Identifier: Apache-2.0
#include "client/src/column_wire.h"

#include <bit>
#include <cstring>
#include <string>

#include "client/src/columns.h"
#include "google/protobuf/io/coded_stream.h"

namespace nfmeter::client_internal {
namespace {

using ::google::protobuf::io::CodedInputStream;
using ::google::protobuf::io::CodedOutputStream;

// Protocol Buffers encoding: a tag is field number << 3 | wire type.
enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5
};
constexpr uint32_t BytesTag(int field_number) {
  return static_cast<uint32_t>(field_number) << 3 | kBytes;
}

// The length that follows a tag of kBytes. False: more than there is.
bool ReadLength(CodedInputStream& in, int* length) {
  return in.ReadVarintSizeAsInt(length) && *length <= in.BytesUntilLimit();
}

bool SkipField(CodedInputStream& in, uint32_t tag) {
  uint64_t number = 0;
  int length = 0;
  switch (tag & 7) {
    case kVarint:
      return in.ReadVarint64(&number);
    case kFixed64:
      return in.Skip(8);
    case kBytes:
      return ReadLength(in, &length) && in.Skip(length);
    case kFixed32:
      return in.Skip(4);
    default:
      return false;
  }
}

// Calls `take` with the tag of each field, to read what follows it; false when
// the message is malformed or `take` says so.
template <typename Take>
bool ForEachField(CodedInputStream& in, Take take) {
  while (const uint32_t tag = in.ReadTag()) {
    if (!take(tag)) return false;
  }
  return in.ConsumedEntireMessage();
}

// The same for a message inside another.
template <typename Take>
bool ForEachInnerField(CodedInputStream& in, Take take) {
  int length = 0;
  if (!ReadLength(in, &length)) return false;
  const auto limit = in.PushLimit(length);
  const bool whole = ForEachField(in, take);
  in.PopLimit(limit);
  return whole;
}

// How many varints there are in packed ones: bytes without continuation bit.
// Room for all of them at once makes decoding 1.6 times as fast.
size_t CountVarints(absl::string_view packed) {
  size_t count = 0;
  size_t i = 0;
  for (; i + 8 <= packed.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, packed.data() + i, sizeof(word));
    count += std::popcount(~word & 0x8080808080808080);
  }
  for (; i < packed.size(); ++i) {
    if ((packed[i] & 0x80) == 0) ++count;
  }
  return count;
}

// Repeated numbers, packed or not.
template <typename T>
bool AppendNumbers(absl::string_view wire, CodedInputStream& in, uint32_t tag,
                   std::vector<T>* values) {
  uint64_t value = 0;
  if ((tag & 7) == kVarint) {
    if (!in.ReadVarint64(&value)) return false;
    values->push_back(static_cast<T>(value));
    return true;
  }
  int length = 0;
  if ((tag & 7) != kBytes || !ReadLength(in, &length)) return false;
  const auto limit = in.PushLimit(length);
  const size_t before = values->size();
  values->resize(before +
                 CountVarints(wire.substr(in.CurrentPosition(), length)));
  for (T* out = values->data() + before; out != values->data() + values->size();
       ++out) {
    if (!in.ReadVarint64(&value)) return false;
    *out = static_cast<T>(value);
  }
  const bool whole = in.BytesUntilLimit() == 0;
  in.PopLimit(limit);
  return whole;
}

// A text that stays in the wire.
bool ReadText(absl::string_view wire, CodedInputStream& in, uint32_t tag,
              absl::string_view* text) {
  int length = 0;
  if ((tag & 7) != kBytes || !ReadLength(in, &length)) return false;
  *text = wire.substr(in.CurrentPosition(), length);
  return in.Skip(length);
}

bool DecodeLabel(absl::string_view wire, CodedInputStream& in,
                 ColumnExtras::Label* label) {
  return ForEachInnerField(in, [&](uint32_t tag) {
    switch (tag >> 3) {
      case v1::LabelColumn::kKeyFieldNumber:
        return ReadText(wire, in, tag, &label->key);
      case v1::LabelColumn::kValuesFieldNumber:
        return ReadText(wire, in, tag, &label->values.emplace_back());
      default:
        return SkipField(in, tag);
    }
  });
}

bool DecodeColumns(absl::string_view wire, CodedInputStream& in,
                   const ColumnArrays& arrays, ColumnExtras* extras) {
  using Columns = v1::SnapshotColumns;
  return ForEachInnerField(in, [&](uint32_t tag) {
    switch (tag >> 3) {
      case Columns::kIdsFieldNumber:
        return AppendNumbers(wire, in, tag, arrays.ids);
      case Columns::kPacketsFieldNumber:
        return AppendNumbers(wire, in, tag, arrays.packets);
      case Columns::kBytesFieldNumber:
        return AppendNumbers(wire, in, tag, arrays.bytes);
      case Columns::kExceededIdsFieldNumber:
        return AppendNumbers(wire, in, tag, &extras->exceeded_ids);
      case Columns::kNewIdsFieldNumber:
        return AppendNumbers(wire, in, tag, &extras->new_ids);
      case Columns::kTotalPacketsFieldNumber:
        return AppendNumbers(wire, in, tag, arrays.total_packets);
      case Columns::kTotalBytesFieldNumber:
        return AppendNumbers(wire, in, tag, arrays.total_bytes);
      case Columns::kNewNamesFieldNumber:
        return ReadText(wire, in, tag, &extras->new_names);
      case Columns::kLabelsFieldNumber:
        return (tag & 7) == kBytes &&
               DecodeLabel(wire, in, &extras->labels.emplace_back());
      default:
        return SkipField(in, tag);
    }
  });
}

}  // namespace

absl::Status DecodeChunk(absl::string_view wire, const ColumnArrays& arrays,
                         ColumnExtras* extras, v1::SnapshotFrame* frame) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(wire.data()),
                      static_cast<int>(wire.size()));
  std::string rest;
  const auto take_field = [&](uint32_t tag) {
    if (tag == BytesTag(v1::SnapshotFrame::kColumnsFieldNumber)) {
      return DecodeColumns(wire, in, arrays, extras);
    }
    const int start = in.CurrentPosition() -
                      static_cast<int>(CodedOutputStream::VarintSize32(tag));
    if (!SkipField(in, tag)) return false;
    rest.append(wire.data() + start, in.CurrentPosition() - start);
    return true;
  };
  const bool decoded = ForEachField(in, [&](uint32_t tag) {
    return tag == BytesTag(v1::GetSnapshotResponse::kFrameFieldNumber)
               ? ForEachInnerField(in, take_field)
               : SkipField(in, tag);
  });
  if (!decoded || !frame->ParseFromString(rest)) {
    return BrokenSnapshot("a message that can't be decoded");
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::client_internal
