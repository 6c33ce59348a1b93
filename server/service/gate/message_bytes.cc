// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/message_bytes.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"

namespace nfmeter::service {
namespace {

// gRPC hands the bytes over as const, but counts its readers in them.
bool Parse(const grpc::ByteBuffer& bytes,
           google::protobuf::MessageLite* request) {
  grpc::ByteBuffer shared = bytes;
  grpc::ProtoBufferReader reader(&shared);
  return reader.status().ok() && request->ParseFromZeroCopyStream(&reader);
}

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

}  // namespace nfmeter::service
