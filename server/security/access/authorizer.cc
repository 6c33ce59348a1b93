// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/authorizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "security/access/in_process.h"

namespace nfmeter::security {
namespace {

constexpr size_t kMaxStandings = 4096;
constexpr char kGrpcServices[] = "grpc.";
// Stands for the caller of a call that carries no mark. No listener of ours
// lets in such a call.
constexpr char kUnknown[] = "lunknown";

// The counters of those of `grants` that have at least `role`.
accounting::CounterScope ScopeOf(absl::Span<const Grant* const> grants,
                                 Role role) {
  accounting::CounterScope scope;
  for (const Grant* grant : grants) {
    if (grant->role < role) continue;
    if (grant->counter_prefixes.empty()) return {};
    scope.prefixes.insert(scope.prefixes.end(), grant->counter_prefixes.begin(),
                          grant->counter_prefixes.end());
  }
  std::sort(scope.prefixes.begin(), scope.prefixes.end());
  // Leaves out prefixes that a shorter one covers, which stands before them.
  std::vector<std::string> fewest;
  for (std::string& prefix : scope.prefixes) {
    if (fewest.empty() || !absl::StartsWith(prefix, fewest.back())) {
      fewest.push_back(std::move(prefix));
    }
  }
  return {std::move(fewest)};
}

// The highest role that the caller has for the whole scope: an admin of some
// counters who is operator of all must not decide about the packets of all.
Role RoleForAll(absl::Span<const Grant* const> grants,
                const accounting::CounterScope& scope) {
  for (const Role role : {Role::kAdmin, Role::kOperator}) {
    const bool has_any =
        std::any_of(grants.begin(), grants.end(),
                    [&](const Grant* grant) { return grant->role >= role; });
    if (has_any && ScopeOf(grants, role) == scope) return role;
  }
  return Role::kViewer;
}

}  // namespace

Standing::Standing(Principal principal, std::vector<Grant> grants,
                   std::string whose_grants,
                   std::shared_ptr<const std::atomic<bool>> outdated)
    : identity_(std::make_shared<const Principal>(std::move(principal))),
      grants_(std::make_shared<const std::vector<Grant>>(std::move(grants))),
      whose_grants_(std::move(whose_grants)),
      outdated_(std::move(outdated)) {
  for (const Method& method : AllMethods()) {
    callers_.push_back(MakeCaller(method));
  }
}

std::shared_ptr<const Caller> Standing::MakeCaller(const Method& method) const {
  std::vector<const Grant*> matching;
  for (const Grant& grant : *grants_) {
    if (grant.Allows(method)) matching.push_back(&grant);
  }
  if (matching.empty() && method.least_role > Role::kNone) return nullptr;
  accounting::CounterScope scope = ScopeOf(matching, Role::kNone);
  FlowRights flows;
  for (const Grant* grant : matching) flows = flows.Or(grant->flows);
  const Role role = RoleForAll(matching, scope);
  Caller caller{.principal = principal(),
                .role = role,
                .scope = std::move(scope),
                .flows = flows,
                .grants = grants_,
                .certified = certified(),
                .identity = identity_,
                .outdated = outdated_};
  // Most methods share one Caller.
  for (const std::shared_ptr<const Caller>& made : callers_) {
    if (made != nullptr && made->role == caller.role &&
        made->scope == caller.scope && made->flows == caller.flows) {
      return made;
    }
  }
  return std::make_shared<const Caller>(std::move(caller));
}

absl::StatusOr<std::shared_ptr<const Caller>> Standing::Admit(
    const Method& method) const {
  const absl::Span<const Method> listed = AllMethods();
  const bool is_listed = !std::less<>()(&method, listed.begin()) &&
                         std::less<>()(&method, listed.end());
  const auto caller = is_listed ? callers_[&method - listed.begin()] : nullptr;
  if (caller == nullptr) return Deny(method);
  return caller;
}

absl::Status Standing::Deny(const Method& method) const {
  Role highest = Role::kNone;
  FlowAccess flows = FlowAccess::kNone;
  for (const Grant& grant : *grants_) {
    highest = std::max(highest, grant.role);
    flows = std::max(flows, grant.flows.access);
  }
  const std::string role_needed =
      method.least_flows == FlowAccess::kNone
          ? std::string(RoleName(method.least_role))
          : absl::StrCat(RoleName(method.least_role),
                         " with 'flows: ", FlowAccessName(method.least_flows),
                         "'");
  const std::string lacking =
      highest == Role::kNone ? "has been granted nothing"
      : highest < method.least_role
          ? absl::StrCat("has the role ", RoleName(highest))
      : flows < method.least_flows
          ? absl::StrCat("has been granted 'flows: ", FlowAccessName(flows),
                         "', and no role includes flows: listen[].flows "
                         "(--socket-flows) or a rule of the policy does")
      : method.whole_host
          ? "has been granted only some methods or counters, and it shows the "
            "whole host"
          : "has been granted only other methods";
  std::string other_names;
  if (identity_->names.size() > 1) {
    other_names = absl::StrCat(" (also ",
                               absl::StrJoin(identity_->names.begin() + 1,
                                             identity_->names.end(), ", "),
                               ")");
  }
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat(principal(), other_names, " may not call ", method.name,
                   ": that needs the role ", role_needed, ", and the caller ",
                   lacking, "; ", whose_grants_),
      ErrorDetails{
          .reason = "NOT_PERMITTED",
          .metadata = {{"principal", principal()},
                       {"method", std::string(method.name)},
                       {"role", std::string(RoleName(method.least_role))}}});
}

Authorizer::Authorizer(absl::Span<const ListenerGrant> listeners,
                       OnRefused on_refused)
    : on_refused_(std::move(on_refused)),
      outdated_(std::make_shared<std::atomic<bool>>(false)) {
  for (const ListenerGrant& each : listeners) {
    if (each.principal.empty()) continue;
    listener_grants_[each.principal] = {.role = each.role,
                                        .flows = {.access = each.flows}};
  }
}

void Authorizer::SetPolicy(std::shared_ptr<const Policy> policy) {
  absl::MutexLock lock(&mutex_);
  policy_ = std::move(policy);
  standings_.clear();
  outdated_->store(true);
  outdated_ = std::make_shared<std::atomic<bool>>(false);
}

std::shared_ptr<const Standing> Authorizer::StandingOf(
    const grpc::ServerContextBase& context) const {
  const auto auth = context.auth_context();
  const auto found = auth->FindPropertyValues(kPrincipalProperty);
  if (!found.empty()) {
    return StandingOf(absl::string_view(found[0].data(), found[0].size()));
  }
  const auto token = context.client_metadata().find(kInProcessKey);
  if (token == context.client_metadata().end() ||
      absl::string_view(token->second.data(), token->second.size()) !=
          InProcessToken()) {
    return StandingOf(kUnknown);
  }
  const auto principal = context.client_metadata().find(kInProcessPrincipalKey);
  if (principal != context.client_metadata().end() &&
      !principal->second.empty()) {
    return StandingOf(
        absl::string_view(principal->second.data(), principal->second.size()));
  }
  return StandingOf(EncodePrincipal({.names = {kWebPage}}));
}

std::shared_ptr<const Standing> Authorizer::StandingOf(
    absl::string_view encoded) const {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto found = standings_.find(encoded);
    if (found != standings_.end()) return found->second;
  }
  absl::MutexLock lock(&mutex_);
  if (standings_.size() >= kMaxStandings) standings_.clear();
  return standings_.try_emplace(encoded, MakeStanding(encoded)).first->second;
}

std::shared_ptr<const Standing> Authorizer::MakeStanding(
    absl::string_view encoded) const {
  Principal principal = DecodePrincipal(encoded);
  std::vector<Grant> grants;
  // Has no grants, not even those that the policy gives to everybody.
  const bool is_stranger = encoded == kUnknown;
  if (policy_ != nullptr && !is_stranger) {
    grants = policy_->GrantsOf(principal);
  }
  std::string where =
      policy_ == nullptr
          ? "this server has no policy; give it one with "
            "--policy"
          // Callers on other hosts are not told where files are.
          : absl::StrCat("grants are in ", principal.certified
                                               ? "the server's policy"
                                               : policy_->file);
  const auto listener = listener_grants_.find(principal.name());
  if (listener != listener_grants_.end() && !principal.certified) {
    if (listener->second.role > Role::kNone) {
      grants.push_back(listener->second);
    }
    where = absl::StrCat(
        "the role of the listener is set by listen[].role or "
        "--socket-role",
        policy_ == nullptr ? "" : ", and ", policy_ == nullptr ? "" : where);
  }
  return std::make_shared<const Standing>(
      std::move(principal), std::move(grants), std::move(where), outdated_);
}

absl::StatusOr<std::shared_ptr<const Caller>> Authorizer::AuthorizeAgain(
    const Caller& caller, const Method& method) const {
  return StandingOf(EncodePrincipal(*caller.identity))->Admit(method);
}

absl::Status Authorizer::AuthorizeOutside(const grpc::AuthContext& context,
                                          absl::string_view name) const {
  const Method* const method = FindMethod(name);
  if (method == nullptr && !absl::StartsWith(name, kGrpcServices)) {
    return absl::OkStatus();
  }
  if (method != nullptr && method->least_role == Role::kNone) {
    return absl::OkStatus();
  }
  const auto found = context.FindPropertyValues(kPrincipalProperty);
  const auto standing = StandingOf(
      found.empty() ? absl::string_view(kUnknown)
                    : absl::string_view(found[0].data(), found[0].size()));
  const Method unlisted = {name, Role::kNobody};
  const absl::Status status =
      standing->Admit(method == nullptr ? unlisted : *method).status();
  if (!status.ok() && on_refused_) {
    on_refused_(standing->principal(), name, status);
  }
  return status;
}

}  // namespace nfmeter::security
