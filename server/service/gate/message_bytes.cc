// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/message_bytes.h"

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"

namespace nfmeter::service {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// The limit of protobuf's own parser.
constexpr int kMaxDepth = 100;
// What a string, an unknown field and an entry of a map take in addition to
// their bytes.
constexpr size_t kStringBytes = 40;
constexpr size_t kUnknownBytes = 48;
constexpr size_t kMapEntryBytes = 128;
// What a list of strings or messages takes for each element: its array of
// pointers grows by doubling, and an arena does not reuse the smaller ones.
constexpr size_t kPointerBytes = 24;
// A number in a list, which may have one byte on the wire.
constexpr size_t kNumberBytes = 8;

// gRPC hands the bytes over as const, but counts its readers in them.
bool Parse(const grpc::ByteBuffer& bytes,
           google::protobuf::MessageLite* request) {
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  return reader.status().ok() && request->ParseFromZeroCopyStream(&reader);
}

// Walks over one message.
class Walk {
 public:
  explicit Walk(CodedInputStream& in) : in_(in) {}

  size_t total() const { return total_; }

  // Returns false where the bytes stop being a valid message.
  bool Message(const Descriptor& descriptor, int depth) {
    if (depth > kMaxDepth) return false;
    while (const uint32_t tag = in_.ReadTag()) {
      const FieldDescriptor* const field =
          descriptor.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (!Field(field, tag, depth)) return false;
    }
    return in_.BytesUntilLimit() <= 0;
  }

 private:
  bool Field(const FieldDescriptor* field, uint32_t tag, int depth) {
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      total_ += field == nullptr ? kUnknownBytes : 2 * kNumberBytes;
      return WireFormatLite::SkipField(&in_, tag);
    }
    int length = 0;
    if (!in_.ReadVarintSizeAsInt(&length)) return false;
    if (field == nullptr) {
      total_ += kUnknownBytes + length;
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return Nested(*field->message_type(), length, depth);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      total_ += kStringBytes + kPointerBytes + length;
    } else {
      total_ += 2 * kNumberBytes * static_cast<size_t>(length);
    }
    return in_.Skip(length);
  }

  bool Nested(const Descriptor& descriptor, int length, int depth) {
    total_ += SizeOf(descriptor) + kPointerBytes;
    const CodedInputStream::Limit limit = in_.PushLimit(length);
    const bool is_message = Message(descriptor, depth + 1);
    in_.PopLimit(limit);
    return is_message;
  }

  // What an empty message takes.
  size_t SizeOf(const Descriptor& descriptor) {
    const auto [found, is_new] = sizes_.try_emplace(&descriptor, 0);
    if (is_new) {
      found->second =
          descriptor.options().map_entry()
              ? kMapEntryBytes
              : google::protobuf::MessageFactory::generated_factory()
                    ->GetPrototype(&descriptor)
                    ->SpaceUsedLong();
    }
    return found->second;
  }

  CodedInputStream& in_;
  size_t total_ = 0;
  absl::flat_hash_map<const Descriptor*, size_t> sizes_;
};

}  // namespace

absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::MessageLite* request) {
  if (bytes.Valid() && Parse(bytes, request)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
      absl::StrCat("the request is not a valid ", request->GetTypeName(),
                   "; was it made from other proto files?"));
}

absl::Status NoMessage() {
  return MakeError(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                   "the call ended without a request");
}

absl::Status CheckMessageSize(const grpc::ByteBuffer& bytes, size_t bound) {
  if (bytes.Length() <= bound) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the request has ", bytes.Length(), " bytes; this method ",
                   "takes at most ", bound),
      BoundDetails("REQUEST_TOO_LARGE", bound,
                   {{"size", absl::StrCat(bytes.Length())}}));
}

absl::Status CheckAnswerSize(size_t bytes, size_t bound) {
  if (bytes <= bound) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the answer would have about ", bytes, " bytes, and this ",
                   "client takes ", bound, "; ask for fewer at a time, or let ",
                   "the client take more and say so in its metadata: ",
                   "nfmeter-max-answer-bytes"),
      BoundDetails("ANSWER_TOO_LARGE", bound, {{"size", absl::StrCat(bytes)}}));
}

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::string StableBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::Status WriteMessage(const google::protobuf::MessageLite& response,
                          grpc::ByteBuffer* bytes) {
  bool own_buffer = false;
  const grpc::Status status =
      grpc::SerializationTraits<google::protobuf::MessageLite>::Serialize(
          response, bytes, &own_buffer);
  if (status.ok()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInternal, "ANSWER_TOO_LARGE",
      absl::StrCat("the answer can't be written: ", status.error_message()));
}

size_t ParsedBytes(const grpc::ByteBuffer& bytes,
                   const google::protobuf::Message& prototype) {
  // A copy, because reading changes the buffer's reference count.
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  if (!reader.status().ok()) return 0;
  CodedInputStream in(&reader);
  Walk walk(in);
  walk.Message(*prototype.GetDescriptor(), 0);
  return walk.total();
}

}  // namespace nfmeter::service
