// Unix sockets whose calls can be told apart.
#ifndef NFMETER_SECURITY_SOCKET_CREDENTIALS_H_
#define NFMETER_SECURITY_SOCKET_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::security {

// For the unix socket at `path`. gRPC 1.51 does not tell a call's handler which
// socket it came in by (its peer is "unix:"), so the calls carry that.
std::shared_ptr<grpc::ServerCredentials> SocketCredentials(
    absl::string_view path);

// The path given to SocketCredentials(); nullopt for calls of other listeners.
std::optional<std::string> SocketOf(const grpc::ServerContextBase& context);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_SOCKET_CREDENTIALS_H_
