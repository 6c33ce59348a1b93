// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/policy_check.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "accounting/common/counter_filter.h"
#include "security/access/in_process.h"
#include "security/access/principal.h"

namespace nfmeter::security {
namespace {

constexpr char kOurServices[] = "nfmeter.";

// The beginnings of names from certificates, and of the names of other callers.
constexpr char kDns[] = "dns:";
constexpr absl::string_view kCertificateNames[] = {"spiffe://", "uri:", kDns,
                                                   "cn:"};
constexpr absl::string_view kLocalNames[] = {"socket:/", kLoopback, kWebPage};

// Each rule is compared with all others, in some 100 ns.
constexpr size_t kMaxComparedRules = 2000;

// Every text that `narrow` matches, `wide` matches too: stars of `narrow` can
// only be taken by stars.
bool Covers(const std::string& wide, const std::string& narrow) {
  return MatchesPattern(wide, narrow);
}

// Each of `narrow` is covered by one of `wide`; none of `wide` means any.
template <typename CoversOne>
bool CoverAll(const std::vector<std::string>& wide,
              const std::vector<std::string>& narrow, CoversOne covers) {
  return std::all_of(narrow.begin(), narrow.end(), [&](const auto& each) {
    return std::any_of(wide.begin(), wide.end(),
                       [&](const auto& other) { return covers(other, each); });
  });
}

// `rule` grants nothing that `other` does not.
bool IsCovered(const PolicyRule& rule, const PolicyRule& other) {
  const Grant& grant = rule.grant;
  const Grant& more = other.grant;
  if (more.role < grant.role) return false;
  // Without flows their bits mean nothing.
  if (grant.flows.access > FlowAccess::kNone &&
      more.flows.Or(grant.flows) != more.flows) {
    return false;
  }
  if (!CoverAll(other.principals, rule.principals, Covers)) return false;
  if (!more.methods.empty() &&
      (grant.methods.empty() ||
       !CoverAll(more.methods, grant.methods, Covers))) {
    return false;
  }
  return more.counter_prefixes.empty() ||
         (!grant.counter_prefixes.empty() &&
          CoverAll(more.counter_prefixes, grant.counter_prefixes,
                   [](const std::string& prefix, const std::string& name) {
                     return absl::StartsWith(name, prefix);
                   }));
}

// A name that begins with one of `kinds` may be matched by `pattern`.
bool MayName(absl::Span<const absl::string_view> kinds,
             absl::string_view pattern) {
  const absl::string_view fixed = pattern.substr(0, pattern.find('*'));
  const bool has_star = fixed.size() < pattern.size();
  return std::any_of(kinds.begin(), kinds.end(), [&](absl::string_view kind) {
    const bool is_whole = kind == kLoopback || kind == kWebPage;
    if (is_whole && !has_star) return pattern == kind;
    return absl::StartsWith(fixed, kind) ||
           (has_star && absl::StartsWith(kind, fixed));
  });
}

// Why nobody can have a name that `pattern` matches; empty: somebody can.
std::string WhyNobody(absl::string_view pattern) {
  const absl::string_view fixed = pattern.substr(0, pattern.find('*'));
  const bool has_star = fixed.size() < pattern.size();
  if (absl::StartsWith(fixed, "spiffe://")) {
    // With something harmless in place of the stars.
    std::string example;
    for (const char c : pattern) example.push_back(c == '*' ? 'x' : c);
    if (IsSpiffeId(example)) return "";
    // "spiffe://*" stands for a domain and a path.
    if (has_star && IsSpiffeId(absl::StrCat(fixed, "x/x"))) return "";
    return "is not a SPIFFE ID: spiffe://DOMAIN/PATH, the domain in lower "
           "case, no query, no fragment";
  }
  if (absl::StartsWith(fixed, kDns) &&
      std::any_of(pattern.begin(), pattern.end(), absl::ascii_isupper)) {
    return "has capitals, and DNS names of certificates are in lower case here";
  }
  if (absl::StartsWithIgnoreCase(fixed, "uri:spiffe:")) {
    return "is a SPIFFE ID, which has no 'uri:' before it";
  }
  if (MayName(kCertificateNames, pattern) || MayName(kLocalNames, pattern)) {
    return "";
  }
  return "has no form that a principal has: spiffe://DOMAIN/PATH, uri:URI, "
         "dns:NAME, cn:NAME, socket:/PATH, loopback or web";
}

// Looks at one rule.
class RuleCheck {
 public:
  RuleCheck(const Policy& policy, size_t index,
            std::vector<std::string>& warnings)
      : policy_(policy),
        index_(index),
        rule_(policy.rules[index]),
        warnings_(warnings) {}

  void Run() {
    for (const std::string& pattern : rule_.principals) {
      if (const std::string why = WhyNobody(pattern); !why.empty()) {
        Warn("nobody can be '", pattern, "': it ", why);
      }
    }
    for (const std::string& pattern : rule_.grant.methods) {
      CheckMethods(pattern);
    }
    CheckPrefixes();
    CheckFlowPrefixes();
    if (policy_.rules.size() <= kMaxComparedRules) CheckUse();
  }

 private:
  template <typename... Parts>
  void Warn(const Parts&... what) {
    warnings_.push_back(absl::StrCat(policy_.file, ":", rule_.line, ": ",
                                     rule_.name, ": ", what...));
  }

  void CheckMethods(const std::string& pattern) {
    Role least = Role::kNobody;
    FlowAccess least_flows = FlowAccess::kFull;
    bool all_of_the_host = true;
    for (const Method& method : AllMethods()) {
      if (!MatchesPattern(pattern, method.name)) continue;
      least = std::min(least, method.least_role);
      least_flows = std::min(least_flows, method.least_flows);
      all_of_the_host &= method.whole_host;
    }
    if (least == Role::kNobody) {
      Warn("no method is called '", pattern,
           "'; they are called SERVICE/METHOD, such as "
           "nfmeter.v1.CounterService/GetCounter");
    } else if (least > rule_.grant.role) {
      Warn("'", pattern, "' has only methods that need the role ",
           RoleName(least), ", and the rule's is ", RoleName(rule_.grant.role));
    } else if (least_flows > rule_.grant.flows.access) {
      Warn("'", pattern,
           "' has only methods that show flows, and the rule does not say "
           "'flows: ",
           FlowAccessName(least_flows), "'");
    } else if (all_of_the_host && !rule_.grant.counter_prefixes.empty()) {
      Warn("'", pattern,
           "' has only methods that show the whole host, and the rule is "
           "limited to some counters");
    }
  }

  // A prefix with \xHH is left alone: the counters of others may have bytes
  // that are shown so.
  void CheckPrefixes() {
    for (const std::string& prefix : rule_.grant.counter_prefixes) {
      if (accounting::IsCounterName(prefix) ||
          absl::StrContains(prefix, "\\x")) {
        continue;
      }
      Warn("no counter that nfmeter makes can begin with '", prefix,
           "'; a prefix is no pattern, and names are of [A-Za-z0-9._:/@+-]");
    }
  }

  void CheckFlowPrefixes() {
    const FlowAccess flows = rule_.grant.flows.access;
    if (!rule_.has_flow_prefixes || flows == FlowAccess::kSummary) return;
    Warn("'flow_prefixes' shorten the addresses of 'flows: summary', and ",
         flows == FlowAccess::kFull ? "'flows: full' shows all of them"
                                    : "the rule shows no flows");
  }

  void CheckUse() {
    for (size_t i = 0; i < policy_.rules.size(); ++i) {
      const PolicyRule& other = policy_.rules[i];
      // Of two rules that are the same, only the later one gets the warning.
      if (i == index_ || !IsCovered(rule_, other)) continue;
      if (i > index_ && IsCovered(other, rule_)) continue;
      return Warn("adds nothing to ", other.name, " in line ", other.line);
    }
  }

  const Policy& policy_;
  const size_t index_;
  const PolicyRule& rule_;
  std::vector<std::string>& warnings_;
};

// Why no caller on the listener, whose role is none, may do anything; empty:
// somebody may.
std::string WhyClosed(const ListenerGrant& listener, const Policy* policy) {
  if (policy == nullptr) {
    return "there is no policy that says who may do what; give one with policy "
           "or --policy";
  }
  const std::string& name = listener.principal;
  const bool opens = std::any_of(
      policy->rules.begin(), policy->rules.end(), [&](const PolicyRule& rule) {
        if (!name.empty()) return rule.Concerns({.names = {name}});
        return std::any_of(rule.principals.begin(), rule.principals.end(),
                           [](const std::string& pattern) {
                             return MayName(kCertificateNames, pattern);
                           });
      });
  if (opens) return "";
  return absl::StrCat(
      "no rule of ", policy->file, " is for ",
      name.empty() ? "a name that a certificate can have" : name);
}

std::string DescribeFlows(const FlowRights& flows) {
  const std::string name(FlowAccessName(flows.access));
  return flows.access == FlowAccess::kSummary
             ? absl::StrCat(name, " (/", flows.ipv4_bits, ", /",
                            flows.ipv6_bits, ")")
             : name;
}

std::string ListOr(const std::vector<std::string>& list,
                   absl::string_view none) {
  return list.empty() ? std::string(none) : absl::StrJoin(list, ", ");
}

}  // namespace

std::vector<std::string> FindWarnings(const Policy& policy) {
  std::vector<std::string> warnings;
  if (policy.rules.empty()) {
    warnings.push_back(
        absl::StrCat(policy.file,
                     ": has no rules: nobody gets in but over sockets that "
                     "have a role of their own"));
    return warnings;
  }
  const bool has_admin = std::any_of(
      policy.rules.begin(), policy.rules.end(), [](const PolicyRule& rule) {
        return rule.grant.role == Role::kAdmin && rule.grant.methods.empty() &&
               rule.grant.counter_prefixes.empty() &&
               std::any_of(
                   rule.principals.begin(), rule.principals.end(),
                   [](const auto& each) { return WhyNobody(each).empty(); });
      });
  if (!has_admin) {
    warnings.push_back(
        absl::StrCat(policy.file,
                     ": no rule makes anybody admin of everything: only those "
                     "who come in over a socket with that role can mend "
                     "what others break"));
  }
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    RuleCheck(policy, i, warnings).Run();
  }
  return warnings;
}

std::vector<std::string> FindClosedListeners(
    absl::Span<const ListenerGrant> listeners, const Policy* policy) {
  std::vector<std::string> closed;
  for (const ListenerGrant& each : listeners) {
    if (each.role > Role::kNone) continue;
    const std::string why = WhyClosed(each, policy);
    if (why.empty()) continue;
    const bool over_tls = each.principal.empty();
    std::string sentence = absl::StrCat(
        "nobody can call over ",
        over_tls ? "TLS: "
                 : absl::StrCat(each.address, ": its role is none, and "),
        why);
    // Once for all listeners with TLS.
    if (std::find(closed.begin(), closed.end(), sentence) == closed.end()) {
      closed.push_back(std::move(sentence));
    }
  }
  return closed;
}

std::string DescribePolicy(const Policy& policy) {
  std::vector<std::vector<std::string>> rows = {
      {"RULE", "PRINCIPALS", "ROLE", "METHODS", "COUNTERS"}};
  const bool any_flows = std::any_of(
      policy.rules.begin(), policy.rules.end(), [](const PolicyRule& rule) {
        return rule.grant.flows.access > FlowAccess::kNone;
      });
  if (any_flows) rows[0].push_back("FLOWS");
  for (const PolicyRule& rule : policy.rules) {
    const size_t allowed = std::count_if(
        AllMethods().begin(), AllMethods().end(), [&](const Method& method) {
          return absl::StartsWith(method.name, kOurServices) &&
                 rule.grant.Allows(method);
        });
    std::vector<std::string> prefixes = rule.grant.counter_prefixes;
    for (std::string& prefix : prefixes) prefix.push_back('*');
    rows.push_back({rule.name, absl::StrJoin(rule.principals, ", "),
                    std::string(RoleName(rule.grant.role)),
                    absl::StrCat(ListOr(rule.grant.methods, "all of the role"),
                                 " (", allowed, ")"),
                    ListOr(prefixes, "all")});
    if (any_flows) rows.back().push_back(DescribeFlows(rule.grant.flows));
  }
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppendFormat(&line, "%-*s  ", static_cast<int>(widths[i]),
                            row[i]);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

}  // namespace nfmeter::security
