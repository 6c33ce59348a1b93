// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/iptc_rule_table_support.h"

#include <errno.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/xtables/xt_owner_ids.h"
#include "kernel/linux/xtables/xt_probe.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// Name and revision of matches and targets.
using Revisions = absl::btree_set<std::pair<std::string, uint8_t>>;

struct Extensions {
  Revisions matches;
  Revisions targets;
};

// Matches and targets begin alike.
template <typename Header>
Header ReadHeader(const std::vector<uint8_t>& bytes, size_t offset,
                  Revisions& found) {
  Header header;
  memcpy(&header, bytes.data() + offset, sizeof(header));
  const auto& user = header.u.user;
  found.emplace(std::string(user.name, strnlen(user.name, sizeof(user.name))),
                user.revision);
  return header;
}

template <typename Entry>
void Collect(const std::vector<uint8_t>& bytes, Extensions& found) {
  Entry entry;
  memcpy(&entry, bytes.data(), sizeof(entry));
  for (size_t offset = sizeof(Entry); offset < entry.target_offset;) {
    const auto match = ReadHeader<xt_entry_match>(bytes, offset, found.matches);
    if (match.u.match_size == 0) return;
    offset += match.u.match_size;
  }
  ReadHeader<xt_entry_target>(bytes, entry.target_offset, found.targets);
}

absl::Status CheckExtensions(Family family,
                             const std::vector<std::vector<uint8_t>>& entries) {
  Extensions needed;
  for (const std::vector<uint8_t>& entry : entries) {
    if (family == Family::kIpv4) {
      Collect<ipt_entry>(entry, needed);
    } else {
      Collect<ip6t_entry>(entry, needed);
    }
  }
  for (const auto& [name, revision] : needed.matches) {
    NFM_RETURN_IF_ERROR(ProbeMatchRevision(family, name, revision));
  }
  // Other targets of ours are verdicts, which every kernel has.
  for (const auto& [name, revision] : needed.targets) {
    if (name != kAcctTarget) continue;
    NFM_RETURN_IF_ERROR(ProbeTargetRevision(family, name, revision));
  }
  return absl::OkStatus();
}

// One dump, which may be cut short by a deletion, and a question for each that
// it did not show.
absl::StatusOr<std::vector<std::string>> MissingCounters(
    const TableEdit& edit, AcctTable& acct,
    absl::Span<const AcctObject> new_counters, size_t limit) {
  absl::btree_set<std::string> wanted;
  for (const RuleSpec* rule : NewRules(edit)) {
    if (!rule->counter.empty()) wanted.insert(rule->counter);
  }
  for (const AcctObject& counter : new_counters) wanted.erase(counter.name);
  if (wanted.empty()) return std::vector<std::string>();
  NFM_RETURN_IF_ERROR(acct.Dump(AcctDumpFilter::kAll,
                                [&](absl::Span<const AcctRecord> records) {
                                  for (const AcctRecord& record : records) {
                                    wanted.erase(std::string(record.name));
                                  }
                                })
                          .status());
  std::vector<std::string> missing;
  for (const std::string& name : wanted) {
    if (missing.size() == limit) break;
    if (absl::IsNotFound(acct.Get(name).status())) missing.push_back(name);
  }
  return missing;
}

absl::Status CheckCounters(const TableEdit& edit, AcctTable& acct,
                           absl::Span<const AcctObject> new_counters) {
  constexpr size_t kMostNamed = 10;
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                       MissingCounters(edit, acct, new_counters, kMostNamed));
  if (missing.empty()) return absl::OkStatus();
  const std::string names = absl::CHexEscape(absl::StrJoin(missing, ", "));
  const absl::Status status = MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat("rules count into counters that do not exist: ", names,
                   missing.size() == kMostNamed ? " and maybe more" : "",
                   "; create them first"),
      {.reason = "COUNTER_NOT_FOUND", .metadata = {{"counters", names}}});
  for (const RuleSpec* rule : NewRules(edit)) {
    if (rule->counter == missing[0]) return AtField(*rule, "counter", status);
  }
  return status;
}

absl::Status RuleRefused(const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "RULE_REFUSED", why);
}

// cgroup_mt_check_v2() in xt_cgroup.c.
std::string WithoutCgroup(const RuleMatch& match) {
  return absl::StrCat("cgroup '", EscapeName(match.cgroup_path->value),
                      "' must exist below the root of the cgroup v2 "
                      "hierarchy; nothing was changed");
}

absl::Status NoCgroup(const RuleSpec& rule) {
  return AboutRule(rule, "match.cgroup_path",
                   RuleRefused(WithoutCgroup(rule.match)));
}

// What the kernel refuses of a match for where this process is: a cgroup that
// is not there (cgroup_mt_check_v2() in xt_cgroup.c), an owner that it does not
// know.
class Surroundings {
 public:
  bool LacksCgroup(const RuleMatch& match) {
    if (!match.cgroup_path.has_value()) return false;
    if (!paths_.has_value()) paths_ = CgroupPaths::Find();
    return paths_->IsMissing(match.cgroup_path->value);
  }

  std::optional<RuleFault> FaultOfOwner(const RuleMatch& match) {
    if (!match.owner_uid.has_value() && !match.owner_gid.has_value()) {
      return std::nullopt;
    }
    if (!ids_.has_value()) ids_ = OwnerIds::Find();
    return ids_->FaultOf(match);
  }

 private:
  std::optional<CgroupPaths> paths_;
  std::optional<OwnerIds> ids_;
};

absl::Status CheckSurroundings(const TableEdit& edit) {
  Surroundings here;
  for (const RuleSpec* rule : NewRules(edit)) {
    if (here.LacksCgroup(rule->match)) return NoCgroup(*rule);
    if (const auto fault = here.FaultOfOwner(rule->match)) {
      return AboutRule(
          *rule, fault->field,
          RuleRefused(absl::StrCat(fault->field, ": ", fault->description)));
    }
  }
  return absl::OkStatus();
}

// What whoever meets a rule that the kernel takes no more can do.
std::string RemedyOf(const Rule& rule) {
  if (IsInOwnedChain(rule)) {
    return "It is one of a plan, which nfmeterd makes anew within seconds: try "
           "again";
  }
  return absl::StrCat("Delete that rule first (",
                      rule.managed                   ? "nfmeter rule delete"
                      : rule.family == Family::kIpv4 ? "iptables-legacy -D"
                                                     : "ip6tables-legacy -D",
                      ")");
}

absl::Status StaleRule(const Rule& rule, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("the kernel takes no change of table ",
                   TableSubject(rule.family, rule.table), " while rule ",
                   rule.id, " is in its chain ", EscapeName(rule.chain), ": ",
                   why, ". ", RemedyOf(rule), "; nothing was changed"),
      {.reason = "STALE_RULE",
       .metadata = {{"rule", rule.id}, {"chain", EscapeName(rule.chain)}}});
}

// A commit replaces the whole table, and the kernel checks each rule of it
// anew: one that it took before may be refused now.
absl::Status CheckOldRules(const TableContents& before,
                           absl::FunctionRef<bool(const Rule&)> goes) {
  Surroundings here;
  for (const Chain& chain : before.chains) {
    for (const Rule& rule : chain.rules) {
      if (goes(rule)) continue;
      if (here.LacksCgroup(rule.match)) {
        return StaleRule(rule,
                         absl::StrCat("its cgroup '",
                                      EscapeName(rule.match.cgroup_path->value),
                                      "' is gone"));
      }
      if (const auto fault = here.FaultOfOwner(rule.match)) {
        return StaleRule(rule, fault->description);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSupport(const TableEdit& edit,
                          const std::vector<std::vector<uint8_t>>& entries,
                          AcctTable& acct,
                          absl::Span<const AcctObject> new_counters) {
  NFM_RETURN_IF_ERROR(CheckExtensions(edit.family, entries));
  NFM_RETURN_IF_ERROR(CheckSurroundings(edit));
  return CheckCounters(edit, acct, new_counters);
}

absl::Status ExplainRefusal(int err, const TableEdit& edit,
                            const std::vector<std::vector<uint8_t>>& entries,
                            const TableContents& before, AcctTable& acct) {
  if (err == ENOENT || err == EPROTONOSUPPORT || err == EPROTOTYPE ||
      err == EOPNOTSUPP) {
    NFM_RETURN_IF_ERROR(CheckSupport(edit, entries, acct));
  }
  const std::vector<const RuleSpec*> rules = NewRules(edit);
  if (err == EINVAL) {
    NFM_RETURN_IF_ERROR(CheckSurroundings(edit));
    const absl::flat_hash_set<absl::string_view> deleted(edit.deletions.begin(),
                                                         edit.deletions.end());
    NFM_RETURN_IF_ERROR(CheckOldRules(before, [&](const Rule& rule) {
      return rule.managed && deleted.contains(rule.id);
    }));
    // Where the hierarchy can't be seen from here, a missing cgroup is still
    // the likeliest reason.
    for (const RuleSpec* rule : rules) {
      if (rule->match.cgroup_path.has_value()) return NoCgroup(*rule);
    }
  }
  const absl::Status status = ErrnoStatus(
      Operation::kRuleCommit, err, TableSubject(edit.family, edit.table));
  return rules.size() == 1 ? AboutRule(*rules[0], "", status) : status;
}

absl::Status ExplainOwnedRefusal(int err, const OwnedTable& wanted,
                                 const std::string& owner,
                                 const TableContents& before) {
  if (err == EINVAL) {
    const auto about = [](const OwnedChain& chain, const OwnedRule& rule,
                          absl::string_view why) {
      return RuleRefused(absl::StrCat("the rule in chain ", chain.name,
                                      " for counter '",
                                      EscapeName(rule.counter), "': ", why));
    };
    Surroundings here;
    std::optional<absl::Status> likeliest;
    for (const OwnedChain& chain : wanted.chains) {
      for (const OwnedRule& rule : chain.rules) {
        if (rule.match.cgroup_path.has_value() && !likeliest.has_value()) {
          likeliest = about(chain, rule, WithoutCgroup(rule.match));
        }
        if (here.LacksCgroup(rule.match)) {
          return about(chain, rule, WithoutCgroup(rule.match));
        }
        if (const auto fault = here.FaultOfOwner(rule.match)) {
          return about(chain, rule,
                       absl::StrCat(fault->field, ": ", fault->description));
        }
      }
    }
    const std::string prefix = OwnedChainsOf(owner);
    NFM_RETURN_IF_ERROR(CheckOldRules(before, [&](const Rule& rule) {
      return absl::StartsWith(rule.chain, prefix);
    }));
    // As above.
    if (likeliest.has_value()) return *std::move(likeliest);
  }
  return ErrnoStatus(Operation::kRuleCommit, err,
                     TableSubject(wanted.family, wanted.table));
}

}  // namespace nfmeter::kernel
