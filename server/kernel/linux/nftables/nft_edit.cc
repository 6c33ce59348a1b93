// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_edit.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

size_t IndexOf(const TableContents& contents, absl::string_view chain) {
  for (size_t i = 0; i < contents.chains.size(); ++i) {
    if (contents.chains[i].name == chain) return i;
  }
  return contents.chains.size();
}

absl::Status NoCgroup(const RuleSpec& rule) {
  return AboutRule(
      rule, "match.cgroup_path",
      MakeError(
          absl::StatusCode::kInvalidArgument, "RULE_REFUSED",
          absl::StrCat("cgroup '", EscapeName(rule.match.cgroup_path->value),
                       "' must exist below the root of the cgroup v2 "
                       "hierarchy, which nfmeterd must see mounted; "
                       "nothing was changed")));
}

// `hooks` in nft_socket_validate().
absl::Status CheckCgroupChain(const RuleSpec& rule) {
  if (rule.chain != "POSTROUTING") return absl::OkStatus();
  return AboutRule(
      rule, "match.cgroup_path",
      MakeError(absl::StatusCode::kInvalidArgument, "RULE_REFUSED",
                "nf_tables, by which this node counts, can't ask for the "
                "cgroup in POSTROUTING; use OUTPUT"));
}

}  // namespace

absl::Status NftEdit::CheckCounters(const TableEdit& edit) const {
  absl::btree_set<std::string> missing;
  const RuleSpec* first = nullptr;
  for (const RuleSpec* rule : NewRules(edit)) {
    if (counters_.contains(rule->counter)) continue;
    if (missing.empty() || rule->counter < *missing.begin()) first = rule;
    missing.insert(rule->counter);
  }
  if (missing.empty()) return absl::OkStatus();
  constexpr size_t kMostNamed = 10;
  const bool more = missing.size() > kMostNamed;
  while (missing.size() > kMostNamed) missing.erase(std::prev(missing.end()));
  const std::string names = EscapeName(absl::StrJoin(missing, ", "));
  return AtField(
      *first, "counter",
      MakeError(
          absl::StatusCode::kNotFound,
          absl::StrCat("rules count into counters that do not exist: ", names,
                       more ? " and more" : "", "; create them first"),
          {.reason = "COUNTER_NOT_FOUND", .metadata = {{"counters", names}}}));
}

absl::Status NftEdit::AddRule(const TableEdit& edit, const RuleSpec& spec,
                              uint64_t packets, uint64_t bytes,
                              const NftBatch::Place& place) {
  NftRuleParts parts = {.quota = counters_.at(spec.counter),
                        .packets = packets,
                        .bytes = bytes,
                        .first_set = next_set_};
  if (spec.match.cgroup_path.has_value()) {
    NFM_RETURN_IF_ERROR(CheckCgroupChain(spec));
    const auto found = cgroups_.Look(spec.match.cgroup_path->value);
    if (!found.has_value() || found->level == 0) return NoCgroup(spec);
    parts.cgroup = {found->id, found->level};
  }
  NFM_ASSIGN_OR_RETURN(const NftRule rule,
                       CompileNftRule(edit.family, spec, parts));
  next_set_ += static_cast<uint32_t>(rule.sets.size());
  for (const NftBatch::Set& set : rule.sets) batch_.AddSet(set);
  batch_.AddRule(NftChainName(edit.family, edit.table, spec.chain), rule.bytes,
                 next_rule_++, place);
  Blame(&spec);
  return absl::OkStatus();
}

absl::Status NftEdit::Restore(const TableEdit& edit,
                              const NftContents& contents,
                              std::vector<Slots>& chains) {
  using Kind = NftBatch::Place::Kind;
  for (const RestoredRule& rule : edit.restorations) {
    Slots& slots = chains[IndexOf(contents.table, rule.spec.chain)];
    const size_t index = std::min<size_t>(rule.position - 1, slots.size());
    NftBatch::Place place;
    if (index < slots.size()) {
      place.kind = slots[index].is_new ? Kind::kBeforeNew : Kind::kBefore;
      place.rule = slots[index].rule;
    }
    slots.insert(slots.begin() + index, {.is_new = true, .rule = next_rule_});
    NFM_RETURN_IF_ERROR(
        AddRule(edit, rule.spec, rule.packets, rule.bytes, place));
  }
  return absl::OkStatus();
}

absl::Status NftEdit::Insert(const TableEdit& edit) {
  using Kind = NftBatch::Place::Kind;
  const bool head = edit.placement == RulePlacement::kHead;
  const size_t count = edit.insertions.size();
  for (size_t i = 0; i < count; ++i) {
    // Backwards at the head, so that the first one ends up first.
    const RuleSpec& spec = edit.insertions[head ? count - 1 - i : i];
    NFM_RETURN_IF_ERROR(
        AddRule(edit, spec, 0, 0, {.kind = head ? Kind::kHead : Kind::kTail}));
  }
  return absl::OkStatus();
}

absl::Status NftEdit::Add(const TableEdit& edit, const NftContents& contents) {
  NFM_ASSIGN_OR_RETURN(EditPlan plan, PlanEdit(contents.table, edit));
  NFM_RETURN_IF_ERROR(CheckCounters(edit));
  Blame(nullptr);
  std::vector<bool> used(contents.exists.size());
  for (const RuleSpec* rule : NewRules(edit)) {
    used[IndexOf(contents.table, rule->chain)] = true;
  }
  std::vector<Slots> chains(contents.exists.size());
  for (size_t i = 0; i < chains.size(); ++i) {
    for (const uint64_t handle : contents.handles[i]) {
      chains[i].push_back({.rule = handle});
    }
    if (!used[i] || contents.exists[i]) continue;
    const std::string& chain = contents.table.chains[i].name;
    batch_.AddChain(NftChainName(edit.family, edit.table, chain),
                    NftHookOf(edit.table, chain));
  }
  for (const EditPlan::ChainDeletions& deletions : plan.deletions) {
    const size_t i = deletions.chain;
    const std::string name =
        NftChainName(edit.family, edit.table, contents.table.chains[i].name);
    for (const uint32_t position : deletions.positions) {
      batch_.DeleteRule(name, contents.handles[i][position - 1]);
    }
    // From the back, so that the positions before stay valid.
    for (size_t n = deletions.positions.size(); n > 0; --n) {
      chains[i].erase(chains[i].begin() + deletions.positions[n - 1] - 1);
    }
    // An empty base chain costs every packet a little.
    if (chains[i].empty() && !used[i]) batch_.DeleteChain(name);
  }
  Blame(nullptr);
  NFM_RETURN_IF_ERROR(Restore(edit, contents, chains));
  NFM_RETURN_IF_ERROR(Insert(edit));
  deleted_.push_back(std::move(plan.deleted));
  return absl::OkStatus();
}

absl::Status NftEdit::Explain(const NftErrors& errors) const {
  if (errors.whole == 0) {
    for (const auto& [message, err] : errors.messages) {
      const RuleSpec* rule =
          message < blamed_.size() ? blamed_[message] : nullptr;
      if (rule == nullptr) continue;
      if (err == ENOENT) {
        return AboutRule(
            *rule, "",
            MakeError(absl::StatusCode::kUnimplemented, "MATCH_UNAVAILABLE",
                      "this kernel's nf_tables lacks something that the rule "
                      "asks for (modules nft_ct, nft_socket, nft_fib_inet, "
                      "nft_chain_nat), or its counter was deleted meanwhile; "
                      "nothing was changed"));
      }
      const int shown = err == EOPNOTSUPP ? EINVAL : err;
      return AboutRule(
          *rule, "",
          ErrnoStatus(Operation::kNftChange, shown, kNftTableSubject));
    }
  }
  return ErrnoStatus(Operation::kNftChange, errors.first(), kNftTableSubject);
}

}  // namespace nfmeter::kernel
