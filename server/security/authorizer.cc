#include "security/authorizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"

namespace nfmeter::security {
namespace {

// The socket that a peer of "unix:/PATH" came in by: gRPC asks for the name of
// the server's end, as clients have none.
std::string SocketOf(absl::string_view peer) {
  return absl::StrCat("socket:", absl::StripPrefix(peer, "unix:"));
}

}  // namespace

Principal Identify(const grpc::ServerContextBase& context) {
  const std::string peer = context.peer();
  if (absl::StartsWith(peer, "unix:")) return {{SocketOf(peer)}};
  return {{"loopback"}};
}

Authorizer::Authorizer(absl::Span<const ListenerOptions> listeners) {
  for (const ListenerOptions& listener : listeners) {
    const std::string name = listener.address.kind == ListenAddress::Kind::kUnix
                                 ? SocketOf(listener.address.path)
                                 : "loopback";
    listeners_[name] = std::make_shared<const Caller>(
        Caller{name,
               Role::kAdmin,
               {},
               std::make_shared<const std::vector<Grant>>(
                   std::vector<Grant>{{Role::kAdmin, {}, {}}})});
  }
}

absl::StatusOr<std::shared_ptr<const Caller>> Authorizer::Authorize(
    const grpc::ServerContextBase& context, const Method& method) const {
  const Principal principal = Identify(context);
  const auto found = listeners_.find(principal.names[0]);
  if (found != listeners_.end() && found->second->role >= method.least_role) {
    return found->second;
  }
  return MakeError(
      absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
      absl::StrCat(principal.names[0], " may not call ", method.name));
}

}  // namespace nfmeter::security
