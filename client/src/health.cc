// SPDX-License-Identifier: Apache-2.0
// Client's method of the standard health service.
#include <string>

#include "absl/synchronization/notification.h"
#include "client/src/connection.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace {

// grpc.health.v1 is spoken without generated messages, since a program that
// links another copy of health.proto could not register this one too.
constexpr char kMethod[] = "/grpc.health.v1.Health/Check";
constexpr int kServiceField = 1;  // HealthCheckRequest.service
constexpr int kStatusField = 1;   // HealthCheckResponse.status
constexpr uint64_t kServing = 1;

grpc::ByteBuffer EncodeRequest(absl::string_view service) {
  google::protobuf::UnknownFieldSet fields;
  fields.AddLengthDelimited(kServiceField)
      ->assign(service.data(), service.size());
  std::string encoded;
  fields.SerializeToString(&encoded);
  const grpc::Slice slice(encoded);
  return grpc::ByteBuffer(&slice, 1);
}

grpc::Status DecodeResponse(const grpc::ByteBuffer& buffer, Health* health) {
  grpc::Slice slice;
  google::protobuf::UnknownFieldSet fields;
  if (!buffer.DumpToSingleSlice(&slice).ok() ||
      !fields.ParseFromArray(slice.begin(), slice.size())) {
    return grpc::Status(grpc::StatusCode::INTERNAL,
                        "the answer of the health service is malformed");
  }
  *health = Health::kNotServing;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == kStatusField &&
        field.type() == google::protobuf::UnknownField::TYPE_VARINT &&
        field.varint() == kServing) {
      *health = Health::kServing;
    }
  }
  return grpc::Status::OK;
}

}  // namespace

absl::StatusOr<Health> Client::CheckHealth(absl::string_view service,
                                           const CallOptions& options) {
  const grpc::ByteBuffer request = EncodeRequest(service);
  Health health = Health::kNotServing;
  const absl::Status status =
      connection_->Call(options, [&](grpc::ClientContext* context) {
        grpc::GenericStub stub(connection_->channel());
        grpc::ByteBuffer response;
        grpc::Status result;
        absl::Notification done;
        stub.UnaryCall(context, kMethod, grpc::StubOptions(), &request,
                       &response, [&](grpc::Status answer) {
                         result = std::move(answer);
                         done.Notify();
                       });
        done.WaitForNotification();
        return result.ok() ? DecodeResponse(response, &health) : result;
      });
  if (absl::IsNotFound(status)) return Health::kUnknownService;
  if (!status.ok()) return status;
  return health;
}

}  // namespace nfmeter
