// SPDX-License-Identifier: GPL-3.0-or-later
// The policy: which principals may do what.
#ifndef NFMETER_SECURITY_ACCESS_POLICY_H_
#define NFMETER_SECURITY_ACCESS_POLICY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "security/access/access.h"
#include "security/access/principal.h"

namespace nfmeter::security {

// Gives a grant to those who match one of its patterns.
struct PolicyRule {
  std::string name;                     // as people call it; never empty
  int line = 0;                         // in its file
  std::vector<std::string> principals;  // patterns, see MatchesPattern()
  Grant grant;
  bool has_flow_prefixes = false;  // the file says them

  // Whether one of the principal's names is meant.
  bool Concerns(const Principal& principal) const;
};

// What no rule grants is denied; what one grants no other takes away.
struct Policy {
  std::string file;
  std::vector<PolicyRule> rules;

  std::vector<Grant> GrantsOf(const Principal& principal) const;
};

// Reads a policy:
//   version: 1
//   rules:
//     - name: controllers of tenant a        # optional
//       principals: [spiffe://example.org/a/*]
//       role: operator                       # viewer, operator, admin
//       methods: [nfmeter.v1.CounterService/*]   # optional
//       counter_prefixes: [a-]                   # optional
//       flows: summary                       # optional: summary, full
//       flow_prefixes: {ipv4: 24, ipv6: 48}  # optional, with summary
// INVALID_ARGUMENT: everything that is wrong, "FILE:LINE:COLUMN: what" a line.
absl::StatusOr<Policy> ParsePolicy(const std::string& text,
                                   const std::string& file);

// The same for the text in a file; INVALID_ARGUMENT also if it can't be read.
absl::StatusOr<Policy> ReadPolicy(const std::string& file);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_POLICY_H_
