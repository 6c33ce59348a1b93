#include "client/src/column_wire.h"

#include <bit>
#include <cstring>
#include <optional>
#include <string>

#include "client/src/columns.h"

namespace nfmeter::client_internal {
namespace {

// Protocol Buffers encoding: a tag is field number << 3 | wire type.
enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5
};
constexpr size_t kMaxVarint = 10;  // bytes

// Reads one varint and moves `*position` behind it; null at a malformed one.
const uint8_t* ReadVarint(const uint8_t* position, const uint8_t* end,
                          uint64_t* value) {
  uint64_t result = 0;
  for (size_t i = 0; i < kMaxVarint && position != end; ++i) {
    const uint8_t byte = *position++;
    result |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *value = result;
      return position;
    }
  }
  return nullptr;
}

// The same without looking for the end at each byte, as long as it is far away.
// Numbers of a column have similar lengths, so that the branches are foreseen;
// subtracting 1 takes the continuation bit of the byte before away.
inline const uint8_t* ReadVarintFast(const uint8_t* position,
                                     const uint8_t* end, uint64_t* value) {
  if (end - position < static_cast<ptrdiff_t>(kMaxVarint)) {
    return ReadVarint(position, end, value);
  }
  uint64_t result = position[0];
  if (result < 0x80) {
    *value = result;
    return position + 1;
  }
#pragma GCC unroll 9
  for (size_t i = 1; i < kMaxVarint; ++i) {
    const uint64_t byte = position[i];
    result += (byte - 1) << (7 * i);
    if (byte < 0x80) {
      *value = result;
      return position + i + 1;
    }
  }
  return nullptr;
}

// How many varints there are in packed ones: bytes without continuation bit.
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

template <typename T>
bool AppendPacked(absl::string_view packed, std::vector<T>* values) {
  const size_t before = values->size();
  values->resize(before + CountVarints(packed));
  const auto* position = reinterpret_cast<const uint8_t*>(packed.data());
  const auto* const end = position + packed.size();
  T* out = values->data() + before;
  T* const out_end = values->data() + values->size();
  while (position != end) {
    uint64_t value;
    if (out == out_end) return false;  // the last one does not end
    position = ReadVarintFast(position, end, &value);
    if (position == nullptr) return false;
    *out++ = static_cast<T>(value);
  }
  return out == out_end;
}

// One field of a message.
struct WireField {
  uint32_t number = 0;
  uint32_t type = kVarint;
  uint64_t varint = 0;      // kVarint
  absl::string_view bytes;  // kBytes
  absl::string_view all;    // with its tag
};

// Calls `take` with each field; false when the message is malformed or `take`
// says so.
template <typename Take>
bool ForEachField(absl::string_view message, Take take) {
  const auto* position = reinterpret_cast<const uint8_t*>(message.data());
  const auto* const end = position + message.size();
  while (position != end) {
    const auto* const start = position;
    WireField field;
    uint64_t tag;
    if ((position = ReadVarint(position, end, &tag)) == nullptr) return false;
    field.number = static_cast<uint32_t>(tag >> 3);
    field.type = tag & 7;
    uint64_t skip = 0;
    switch (field.type) {
      case kVarint:
        position = ReadVarint(position, end, &field.varint);
        break;
      case kBytes:
        position = ReadVarint(position, end, &skip);
        break;
      case kFixed64:
        skip = 8;
        break;
      case kFixed32:
        skip = 4;
        break;
      default:
        return false;
    }
    if (position == nullptr || skip > static_cast<uint64_t>(end - position)) {
      return false;
    }
    if (field.type == kBytes) {
      field.bytes = {reinterpret_cast<const char*>(position),
                     static_cast<size_t>(skip)};
    }
    position += skip;
    field.all = {reinterpret_cast<const char*>(start),
                 static_cast<size_t>(position - start)};
    if (!take(field)) return false;
  }
  return true;
}

// Repeated numbers, packed or not.
template <typename T>
bool AppendNumbers(const WireField& field, std::vector<T>* values) {
  if (field.type == kBytes) return AppendPacked(field.bytes, values);
  if (field.type != kVarint) return false;
  values->push_back(static_cast<T>(field.varint));
  return true;
}

bool DecodeColumns(absl::string_view wire, const ColumnArrays& arrays,
                   ColumnExtras* extras) {
  using Columns = v1::SnapshotColumns;
  return ForEachField(wire, [&](const WireField& field) {
    switch (field.number) {
      case Columns::kIdsFieldNumber:
        return AppendNumbers(field, arrays.ids);
      case Columns::kPacketsFieldNumber:
        return AppendNumbers(field, arrays.packets);
      case Columns::kBytesFieldNumber:
        return AppendNumbers(field, arrays.bytes);
      case Columns::kExceededIdsFieldNumber:
        return AppendNumbers(field, &extras->exceeded_ids);
      case Columns::kNewIdsFieldNumber:
        return AppendNumbers(field, &extras->new_ids);
      case Columns::kNewNamesFieldNumber:
        extras->new_names = field.bytes;
        return field.type == kBytes;
      default:
        return true;
    }
  });
}

}  // namespace

absl::Status DecodeChunk(absl::string_view wire, const ColumnArrays& arrays,
                         ColumnExtras* extras, v1::SnapshotFrame* frame) {
  std::string rest;
  const bool decoded = ForEachField(wire, [&](const WireField& response) {
    if (response.number != v1::GetSnapshotResponse::kFrameFieldNumber ||
        response.type != kBytes) {
      return true;
    }
    return ForEachField(response.bytes, [&](const WireField& field) {
      if (field.number == v1::SnapshotFrame::kColumnsFieldNumber &&
          field.type == kBytes) {
        return DecodeColumns(field.bytes, arrays, extras);
      }
      rest.append(field.all.data(), field.all.size());
      return true;
    });
  });
  if (!decoded || !frame->ParseFromString(rest)) {
    return BrokenSnapshot("a message that can't be decoded");
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::client_internal
