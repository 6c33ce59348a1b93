// SPDX-License-Identifier: GPL-3.0-or-later
// Who may do what: roles, and the methods that each may call.
#ifndef NFMETER_SECURITY_ACCESS_ACCESS_H_
#define NFMETER_SECURITY_ACCESS_ACCESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter::security {

// Each may do all that those before it may.
enum class Role {
  kNone,      // has shown that it may connect, no more
  kViewer,    // reads
  kOperator,  // changes counters, and rules that only count
  kAdmin,     // decides about packets; looks into the server
  kNobody,    // no grant has it
};

absl::string_view RoleName(Role role);
std::optional<Role> ParseRole(absl::string_view name);

// What serving a call takes, and so which threads serve it: a call that waits
// must not keep those waiting that need not.
enum class Work {
  kAtOnce,         // never waits: served where gRPC hands it over
  kRead,           // waits for the kernel
  kCounterChange,  // for the kernel and the disk
  kRuleChange,     // for the xtables lock, too
};
inline constexpr Work kAllWork[] = {Work::kAtOnce, Work::kRead,
                                    Work::kCounterChange, Work::kRuleChange};

// For metrics: "rule_changes".
absl::string_view WorkName(Work work);
// What somebody may see of flows, which say who talks to whom. No role brings
// it: a grant says it.
enum class FlowAccess {
  kNone,
  kSummary,  // sums by shortened addresses
  kFull,     // every flow
};

// "none", "summary", "full".
absl::string_view FlowAccessName(FlowAccess access);
std::optional<FlowAccess> ParseFlowAccess(absl::string_view name);

struct FlowRights {
  FlowAccess access = FlowAccess::kNone;
  // With kSummary: bits of an address that are shown, and that filters may ask
  // for.
  uint8_t ipv4_bits = 24;
  uint8_t ipv6_bits = 48;

  // What both together allow.
  FlowRights Or(const FlowRights& other) const;
  friend bool operator==(const FlowRights&, const FlowRights&) = default;
};

// A method of a service and what calling it takes.
struct Method {
  absl::string_view name;  // "nfmeter.v1.CounterService/GetCounter"
  Role least_role;
  Work work = Work::kAtOnce;
  bool mutates = false;
  // Shows or changes more than counters and the rules that count into them, so
  // a caller who may touch some counters only may not call it.
  bool whole_host = false;
  // What the grant must say of flows, beside the role.
  FlowAccess least_flows = FlowAccess::kNone;
  // Changes what is kept for readers, though no counter and no rule.
  bool changes_readers = false;

  // Each call is written into the audit log, not only those that are refused.
  bool audited() const {
    return mutates || changes_readers || least_flows > FlowAccess::kNone;
  }
};

// All methods of all services that the server offers, gRPC's own included.
absl::Span<const Method> AllMethods();

// nullptr: nobody may call it.
const Method* FindMethod(absl::string_view name);

// `text` as a whole; `*` stands for any number of any characters.
bool MatchesPattern(absl::string_view pattern, absl::string_view text);

// One permission; see nfmeter.v1.Grant.
struct Grant {
  Role role = Role::kNone;
  std::vector<std::string> methods;           // patterns; empty: any
  std::vector<std::string> counter_prefixes;  // empty: all counters
  FlowRights flows;  // counter_prefixes do not narrow them

  // Its role and its patterns include the method, and it is not limited to some
  // counters where the method shows more.
  bool Allows(const Method& method) const;

  friend bool operator==(const Grant&, const Grant&) = default;
};

// The role of all callers on a listener, beside what a policy grants them.
struct ListenerGrant {
  // What its callers are called: "socket:/PATH" or "loopback". Empty: each has
  // names of its own, those of its certificate.
  std::string principal;
  Role role = Role::kNone;
  FlowAccess flows = FlowAccess::kNone;
  std::string address;  // for people: "unix:/run/nfmeter.sock"
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_ACCESS_H_
