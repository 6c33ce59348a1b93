// Decides who may call what.
#ifndef NFMETER_SECURITY_AUTHORIZER_H_
#define NFMETER_SECURITY_AUTHORIZER_H_

#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "accounting/counter_scope.h"
#include "security/access.h"
#include "security/listeners.h"

namespace nfmeter::security {

// Somebody who was let in to a method.
struct Caller {
  // The first of the principal's names.
  std::string principal;
  // The highest role of the grants that let it in.
  Role role = Role::kNone;
  // The counters of all of those.
  accounting::CounterScope scope;
  // All that the principal has, for other methods too. Never null.
  std::shared_ptr<const std::vector<Grant>> grants;
};

// Who is at the other end of a call.
struct Principal {
  // The best known first; see nfmeter.v1.Caller.
  std::vector<std::string> names;
  // It has shown a certificate.
  bool certified = false;
};
Principal Identify(const grpc::ServerContextBase& context);

// What a listener's role and the policy grant. Thread-safe.
class Authorizer {
 public:
  explicit Authorizer(absl::Span<const ListenerOptions> listeners);

  // PERMISSION_DENIED, reason NOT_PERMITTED.
  absl::StatusOr<std::shared_ptr<const Caller>> Authorize(
      const grpc::ServerContextBase& context, const Method& method) const;

 private:
  // By the listener's name as a principal.
  absl::flat_hash_map<std::string, std::shared_ptr<const Caller>> listeners_;
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_AUTHORIZER_H_
