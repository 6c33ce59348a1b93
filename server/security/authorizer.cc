#include "security/authorizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "security/socket_credentials.h"

namespace nfmeter::security {
namespace {

constexpr char kLoopback[] = "loopback";  // TCP without TLS

std::string SocketName(absl::string_view path) {
  return absl::StrCat("socket:", path);
}

}  // namespace

Principal Identify(const grpc::ServerContextBase& context) {
  if (const std::optional<std::string> socket = SocketOf(context)) {
    return {{SocketName(*socket)}};
  }
  return {{kLoopback}};
}

Authorizer::Authorizer(absl::Span<const ListenerOptions> listeners) {
  for (const ListenerOptions& listener : listeners) {
    const std::string name = listener.address.kind == ListenAddress::Kind::kUnix
                                 ? SocketName(listener.address.path)
                                 : kLoopback;
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
