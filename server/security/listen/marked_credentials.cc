// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/marked_credentials.h"

#include <grpcpp/security/auth_metadata_processor.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "security/access/principal.h"

namespace nfmeter::security {
namespace {

constexpr char kPathKey[] = ":path";
constexpr char kOurServices[] = "/nfmeter.";  // these pass service::Gate

absl::string_view PathOf(
    const grpc::AuthMetadataProcessor::InputMetadata& metadata) {
  const auto found = metadata.find(kPathKey);
  if (found == metadata.end()) return "";
  return {found->second.data(), found->second.size()};
}

class CallMark final : public grpc::AuthMetadataProcessor {
 public:
  // `listener`: whose calls these are; empty: the certificate says it.
  CallMark(const Authorizer& authorizer, std::string listener)
      : authorizer_(authorizer), listener_(std::move(listener)) {}

  bool IsBlocking() const override { return false; }

  // Called for each call before its handler; calls of one connection share the
  // context. It is written once, by the first, and read by no one who has not
  // been here: the mutex makes that safe.
  grpc::Status Process(const InputMetadata& metadata,
                       grpc::AuthContext* context, OutputMetadata* /*consumed*/,
                       OutputMetadata* /*response*/) override {
    {
      absl::MutexLock lock(&mutex_);
      if (context->FindPropertyValues(kPrincipalProperty).empty()) {
        context->AddProperty(kPrincipalProperty,
                             EncodePrincipal(WhoIs(*context)));
      }
    }
    absl::string_view path = PathOf(metadata);
    if (absl::StartsWith(path, kOurServices)) return grpc::Status::OK;
    absl::ConsumePrefix(&path, "/");
    const absl::Status status = authorizer_.AuthorizeOutside(*context, path);
    return {static_cast<grpc::StatusCode>(status.code()),
            std::string(status.message())};
  }

 private:
  Principal WhoIs(const grpc::AuthContext& context) const {
    if (!listener_.empty()) return {.names = {listener_}};
    return PrincipalOf(NamesInCertificate(context));
  }

  const Authorizer& authorizer_;
  const std::string listener_;
  absl::Mutex mutex_;
};

std::shared_ptr<grpc::ServerCredentials> LocalCredentials(
    grpc_local_connect_type type, const Authorizer& authorizer,
    std::string listener) {
  auto credentials = grpc::experimental::LocalServerCredentials(type);
  credentials->SetAuthMetadataProcessor(
      std::make_shared<CallMark>(authorizer, std::move(listener)));
  return credentials;
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> SocketCredentials(
    absl::string_view path, const Authorizer& authorizer) {
  return LocalCredentials(UDS, authorizer, SocketName(path));
}

std::shared_ptr<grpc::ServerCredentials> LoopbackCredentials(
    const Authorizer& authorizer) {
  return LocalCredentials(LOCAL_TCP, authorizer, kLoopback);
}

void RecogniseCertificates(grpc::ServerCredentials& credentials,
                           const Authorizer& authorizer) {
  credentials.SetAuthMetadataProcessor(
      std::make_shared<CallMark>(authorizer, ""));
}

}  // namespace nfmeter::security
