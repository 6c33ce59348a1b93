#include "security/socket_credentials.h"

#include <grpcpp/security/auth_metadata_processor.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::security {
namespace {

constexpr char kProperty[] = "nfmeter_socket";

// Writes the socket's path into what gRPC knows of a connection.
class SocketMark final : public grpc::AuthMetadataProcessor {
 public:
  explicit SocketMark(absl::string_view path) : path_(path) {}

  bool IsBlocking() const override { return false; }

  // Called for each call before its handler; calls of one connection share the
  // context. It is written once, by the first, and read by no one who has not
  // been here: the mutex makes that safe.
  grpc::Status Process(const InputMetadata& /*metadata*/,
                       grpc::AuthContext* context, OutputMetadata* /*consumed*/,
                       OutputMetadata* /*response*/) override {
    absl::MutexLock lock(&mutex_);
    if (context->FindPropertyValues(kProperty).empty()) {
      context->AddProperty(kProperty, path_);
    }
    return grpc::Status::OK;
  }

 private:
  const std::string path_;
  absl::Mutex mutex_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> SocketCredentials(
    absl::string_view path) {
  auto credentials = grpc::experimental::LocalServerCredentials(UDS);
  credentials->SetAuthMetadataProcessor(std::make_shared<SocketMark>(path));
  return credentials;
}

std::optional<std::string> SocketOf(const grpc::ServerContextBase& context) {
  const std::vector<grpc::string_ref> found =
      context.auth_context()->FindPropertyValues(kProperty);
  if (found.empty()) return std::nullopt;
  return std::string(found[0].data(), found[0].size());
}

}  // namespace nfmeter::security
