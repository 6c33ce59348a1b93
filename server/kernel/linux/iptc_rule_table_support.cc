#include "kernel/linux/iptc_rule_table_support.h"

#include <errno.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/netlink_acct_table.h"
#include "kernel/linux/xt_probe.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

using MatchRevision = std::pair<std::string, uint8_t>;

template <typename Entry>
void CollectMatches(const std::vector<uint8_t>& bytes,
                    absl::btree_set<MatchRevision>& found) {
  Entry entry;
  memcpy(&entry, bytes.data(), sizeof(entry));
  for (size_t offset = sizeof(Entry); offset < entry.target_offset;) {
    xt_entry_match match;
    memcpy(&match, bytes.data() + offset, sizeof(match));
    const auto& user = match.u.user;
    found.emplace(std::string(user.name, strnlen(user.name, sizeof(user.name))),
                  user.revision);
    if (match.u.match_size == 0) return;
    offset += match.u.match_size;
  }
}

absl::Status CheckMatches(Family family,
                          const std::vector<std::vector<uint8_t>>& entries) {
  absl::btree_set<MatchRevision> matches;
  for (const std::vector<uint8_t>& entry : entries) {
    if (family == Family::kIpv4) {
      CollectMatches<ipt_entry>(entry, matches);
    } else {
      CollectMatches<ip6t_entry>(entry, matches);
    }
  }
  for (const auto& [name, revision] : matches) {
    NFM_RETURN_IF_ERROR(ProbeMatchRevision(family, name, revision));
  }
  return absl::OkStatus();
}

// One dump, which may be cut short by a deletion, and a question for each that
// it did not show.
absl::StatusOr<std::vector<std::string>> MissingCounters(const TableEdit& edit,
                                                         size_t limit) {
  absl::btree_set<std::string> wanted;
  for (const RuleSpec& rule : edit.insertions) {
    if (!rule.counter.empty()) wanted.insert(rule.counter);
  }
  if (wanted.empty()) return std::vector<std::string>();
  NetlinkAcctTable::Options options;
  options.sockets = 1;
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<NetlinkAcctTable> acct,
                       NetlinkAcctTable::Open(options));
  NFM_RETURN_IF_ERROR(acct->Dump(AcctDumpFilter::kAll, AcctDumpMode::kFast,
                                 [&](absl::Span<const AcctRecord> records) {
                                   for (const AcctRecord& record : records) {
                                     wanted.erase(std::string(record.name));
                                   }
                                 })
                          .status());
  std::vector<std::string> missing;
  for (const std::string& name : wanted) {
    if (missing.size() == limit) break;
    if (absl::IsNotFound(acct->Get(name).status())) missing.push_back(name);
  }
  return missing;
}

absl::Status CheckCounters(const TableEdit& edit) {
  constexpr size_t kMostNamed = 10;
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                       MissingCounters(edit, kMostNamed));
  if (missing.empty()) return absl::OkStatus();
  const std::string names = absl::CHexEscape(absl::StrJoin(missing, ", "));
  return MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat("rules count into counters that do not exist: ", names,
                   missing.size() == kMostNamed ? " and maybe more" : "",
                   "; create them first"),
      {.reason = "COUNTER_NOT_FOUND", .metadata = {{"counters", names}}});
}

}  // namespace

absl::Status CheckSupport(const TableEdit& edit,
                          const std::vector<std::vector<uint8_t>>& entries) {
  NFM_RETURN_IF_ERROR(CheckMatches(edit.family, entries));
  return CheckCounters(edit);
}

absl::Status AboutRule(const RuleSpec& rule, const absl::Status& status) {
  ErrorDetails details = GetErrorDetails(status);
  details.metadata["rule"] = absl::CHexEscape(rule.id);
  return MakeError(
      status.code(),
      absl::StrCat("the rule in chain ", absl::CHexEscape(rule.chain),
                   " for counter '", absl::CHexEscape(rule.counter),
                   "': ", status.message()),
      std::move(details));
}

absl::Status ExplainRefusal(int err, const TableEdit& edit,
                            const std::vector<std::vector<uint8_t>>& entries) {
  if (err == ENOENT || err == EPROTONOSUPPORT || err == EOPNOTSUPP) {
    NFM_RETURN_IF_ERROR(CheckSupport(edit, entries));
  }
  const absl::Status status = ErrnoStatus(
      Operation::kRuleCommit, err, TableSubject(edit.family, edit.table));
  for (const RuleSpec& rule : edit.insertions) {
    // cgroup_mt_check_v2() in xt_cgroup.c.
    if (err != EINVAL || !rule.match.cgroup_path.has_value()) continue;
    return AboutRule(
        rule,
        Annotate(status,
                 absl::StrCat("match.cgroup_path '",
                              absl::CHexEscape(rule.match.cgroup_path->value),
                              "' must exist below the root of the cgroup v2 "
                              "hierarchy")));
  }
  return edit.insertions.size() == 1 ? AboutRule(edit.insertions[0], status)
                                     : status;
}

}  // namespace nfmeter::kernel
