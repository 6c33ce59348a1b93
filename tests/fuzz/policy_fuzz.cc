// SPDX-License-Identifier: GPL-3.0-or-later
// Policies, and the names that certificates bring.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>

#include "security/access/authorizer.h"
#include "security/access/policy.h"
#include "security/access/policy_check.h"

namespace {

using nfmeter::security::Principal;
using nfmeter::security::Role;

// Whoever is let in has a grant that allows it.
void CheckGrants(const nfmeter::security::Policy& policy,
                 const Principal& principal) {
  const nfmeter::security::Standing standing(
      principal, policy.GrantsOf(principal), "", nullptr);
  for (const auto& method : nfmeter::security::AllMethods()) {
    bool allowed = method.least_role == Role::kNone;
    for (const auto& grant : policy.GrantsOf(principal)) {
      allowed |= grant.Allows(method);
    }
    if (standing.Admit(method).ok() != allowed) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto policy = nfmeter::security::ParsePolicy(text, "fuzz.yaml");
  if (policy.ok()) {
    (void)nfmeter::security::FindWarnings(*policy);
    (void)nfmeter::security::DescribePolicy(*policy);
    CheckGrants(*policy, nfmeter::security::PrincipalOf(
                             {.uris = {"spiffe://example.org/tenant-a/x"},
                              .common_names = {"root@example.org"}}));
  }
  const Principal principal = nfmeter::security::PrincipalOf(
      {.uris = {text}, .dns = {text}, .common_names = {text}});
  if (nfmeter::security::DecodePrincipal(
          nfmeter::security::EncodePrincipal(principal)) != principal) {
    abort();
  }
  return 0;
}
