// SPDX-License-Identifier: GPL-3.0-or-later
// Decides who may call what.
#ifndef NFMETER_SECURITY_ACCESS_AUTHORIZER_H_
#define NFMETER_SECURITY_ACCESS_AUTHORIZER_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "security/access/access.h"
#include "security/access/policy.h"
#include "security/access/principal.h"

namespace nfmeter::security {

// Says in a call's AuthContext whose call it is: EncodePrincipal(). Written by
// the credentials of the listener.
inline constexpr char kPrincipalProperty[] = "nfmeter_principal";

// Somebody who was let in to a method.
struct Caller {
  // The first of the principal's names.
  std::string principal;
  // The highest role that it has for all counters of the scope.
  Role role = Role::kNone;
  // The counters of all grants that let it in.
  accounting::CounterScope scope;
  // What those grants say of flows.
  FlowRights flows;
  // All that the principal has, for other methods too. Never null.
  std::shared_ptr<const std::vector<Grant>> grants;
  // It has shown a certificate.
  bool certified = false;
  // For AuthorizeAgain(). Null only where tests make callers.
  std::shared_ptr<const Principal> identity;
  // Another policy has come since. Null as above.
  std::shared_ptr<const std::atomic<bool>> outdated;
};

// All that somebody may do; immutable.
class Standing {
 public:
  Standing(Principal principal, std::vector<Grant> grants,
           std::string whose_grants,
           std::shared_ptr<const std::atomic<bool>> outdated);

  const std::string& principal() const { return identity_->name(); }
  bool certified() const { return identity_->certified; }
  bool has_grants() const { return !grants_->empty(); }

  // PERMISSION_DENIED, reason NOT_PERMITTED: who, what is lacking, and where it
  // would be granted.
  absl::StatusOr<std::shared_ptr<const Caller>> Admit(
      const Method& method) const;

 private:
  std::shared_ptr<const Caller> MakeCaller(const Method& method) const;
  absl::Status Deny(const Method& method) const;

  const std::shared_ptr<const Principal> identity_;
  const std::shared_ptr<const std::vector<Grant>> grants_;
  const std::string whose_grants_;  // where grants come from, for people
  const std::shared_ptr<const std::atomic<bool>> outdated_;
  // By the method's place in AllMethods(); null: denied.
  std::vector<std::shared_ptr<const Caller>> callers_;
};

// What the listeners' roles and the policy grant. Thread-safe.
class Authorizer {
 public:
  // Is told of calls to gRPC's own services that were refused.
  using OnRefused =
      std::function<void(const std::string& principal, absl::string_view method,
                         const absl::Status& status)>;

  explicit Authorizer(absl::Span<const ListenerGrant> listeners,
                      OnRefused on_refused = {});

  Authorizer(const Authorizer&) = delete;
  Authorizer& operator=(const Authorizer&) = delete;

  // From now on this decides, beside the listeners' roles.
  void SetPolicy(std::shared_ptr<const Policy> policy);

  // Of whoever makes this call. Never null: strangers have no grants.
  std::shared_ptr<const Standing> StandingOf(
      const grpc::ServerContextBase& context) const;

  // What the policy of now says to a caller whom an earlier one let in.
  absl::StatusOr<std::shared_ptr<const Caller>> AuthorizeAgain(
      const Caller& caller, const Method& method) const;

  // For calls to services that are not ours. `method` may be any text: what is
  // not in the table and not gRPC's is left to gRPC, which does not have it.
  absl::Status AuthorizeOutside(const grpc::AuthContext& context,
                                absl::string_view method) const;

 private:
  std::shared_ptr<const Standing> StandingOf(absl::string_view encoded) const;
  std::shared_ptr<const Standing> MakeStanding(absl::string_view encoded) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // By what the listener's callers are called.
  absl::flat_hash_map<std::string, Grant> listener_grants_;
  const OnRefused on_refused_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Policy> policy_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<std::atomic<bool>> outdated_ ABSL_GUARDED_BY(mutex_);
  // Of those who called under this policy, by EncodePrincipal(); emptied when
  // there are very many.
  mutable absl::flat_hash_map<std::string, std::shared_ptr<const Standing>>
      standings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_AUTHORIZER_H_
