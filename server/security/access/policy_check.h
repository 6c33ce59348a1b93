// SPDX-License-Identifier: GPL-3.0-or-later
// What policies say, and what they probably should not.
#ifndef NFMETER_SECURITY_ACCESS_POLICY_CHECK_H_
#define NFMETER_SECURITY_ACCESS_POLICY_CHECK_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "security/access/access.h"
#include "security/access/policy.h"

namespace nfmeter::security {

// Warns of what is valid, but hardly meant: nobody is let in, a rule that adds
// nothing (looked for where there are at most 2000), a principal that nobody
// can be, a prefix that no counter has. Sentences with file and line.
std::vector<std::string> FindWarnings(const Policy& policy);

// Listeners over which nobody can call anything but gRPC's health service: they
// have no role, and `policy` (null: there is none) grants their callers
// nothing. Sentences.
std::vector<std::string> FindClosedListeners(
    absl::Span<const ListenerGrant> listeners, const Policy* policy);

// For people: a table of who gets what.
std::string DescribePolicy(const Policy& policy);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_POLICY_CHECK_H_
