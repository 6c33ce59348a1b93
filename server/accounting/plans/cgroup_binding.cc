// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/cgroup_binding.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nfmeter::accounting {
namespace {

std::optional<Cgroup> Bind(const PlanAccount& account,
                           kernel::CgroupTree& cgroups) {
  Cgroup cgroup;
  if (!account.systemd_unit.empty()) {
    std::optional<std::string> path = cgroups.PathOfUnit(account.systemd_unit);
    if (!path.has_value()) return std::nullopt;
    cgroup.path = *std::move(path);
  } else {
    cgroup.path = account.match.cgroup_path->value;
    // The kernel will say whether it is there.
    if (!cgroups.visible()) return cgroup;
  }
  const std::optional<uint64_t> id = cgroups.Find(cgroup.path);
  if (!id.has_value()) return std::nullopt;
  cgroup.id = *id;
  return cgroup;
}

// A rule of a cgroup that came back differs by this from that of the old one.
std::string CommentOf(const std::string& comment, const Cgroup& cgroup) {
  if (cgroup.id == 0) return comment;
  return absl::StrCat(comment, comment.empty() ? "" : " ", "cgroup ",
                      cgroup.id);
}

// False: the account has nothing to count.
bool Bind(const CgroupBindings& bindings, PlanAccount& account) {
  const auto found = bindings.find(CgroupOf(account));
  if (found == bindings.end()) return account.systemd_unit.empty();
  auto& path = account.match.cgroup_path;
  const bool negated = path.has_value() && path->negated;
  if (!found->second.has_value()) {
    path.reset();  // nothing is of that cgroup
    return negated;
  }
  path = {.value = found->second->path, .negated = negated};
  account.match.comment = CommentOf(account.match.comment, *found->second);
  return true;
}

}  // namespace

std::string CgroupOf(const PlanAccount& account) {
  if (!account.systemd_unit.empty()) {
    return absl::StrCat("unit ", account.systemd_unit);
  }
  if (account.match.cgroup_path.has_value()) {
    return absl::StrCat("path ", account.match.cgroup_path->value);
  }
  return "";
}

CgroupBindings BindCgroups(const Plan& plan, kernel::CgroupTree& cgroups) {
  CgroupBindings bindings;
  const auto bind = [&](const PlanAccount& account) {
    const std::string name = CgroupOf(account);
    if (name.empty() || bindings.contains(name)) return;
    bindings.emplace(name, Bind(account, cgroups));
  };
  for (const PlanAccount& account : plan.accounts) bind(account);
  for (const AccountGroup& group : plan.groups) bind(group.shared);
  return bindings;
}

std::vector<PlanAccount> WithCgroups(std::vector<PlanAccount> accounts,
                                     const CgroupBindings& bindings) {
  auto kept = accounts.begin();
  for (PlanAccount& account : accounts) {
    if (!Bind(bindings, account)) continue;
    if (&*kept != &account) *kept = std::move(account);
    ++kept;
  }
  accounts.erase(kept, accounts.end());
  return accounts;
}

std::vector<std::string> NewCgroups(const CgroupBindings& before,
                                    const CgroupBindings& now) {
  std::vector<std::string> changed;
  for (const auto& [name, cgroup] : now) {
    const auto found = before.find(name);
    if (cgroup.has_value() &&
        (found == before.end() || found->second != cgroup)) {
      changed.push_back(name);
    }
  }
  return changed;
}

}  // namespace nfmeter::accounting
