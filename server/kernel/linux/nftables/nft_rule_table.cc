// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_rule_table.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_acct_objects.h"
#include "kernel/linux/nftables/nft_contents.h"
#include "kernel/linux/nftables/nft_edit.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// Those counters of the edit's rules that exist.
absl::StatusOr<NftCounters> ReadCounters(NetlinkSocket& socket,
                                         const KernelEdit& edit) {
  absl::flat_hash_set<std::string> seen;
  std::vector<std::string> names;
  for (const TableEdit& table : edit.tables) {
    for (const RuleSpec* rule : NewRules(table)) {
      if (IsAcctName(rule->counter) && seen.insert(rule->counter).second) {
        names.push_back(rule->counter);
      }
    }
  }
  NftCounters counters;
  std::vector<bool> quotas(names.size());
  int failure = 0;
  ExchangeNft(
      socket, 2 * names.size(),
      [&](size_t i, uint32_t sequence, std::string& out) {
        AppendNftGetObject(
            i % 2 == 0 ? NftObjectType::kCounter : NftObjectType::kQuota,
            NftObjectName(names[i / 2]), sequence, out);
      },
      [&](size_t i, int err, const NftMessage* message) {
        if (message == nullptr) {
          if (err != ENOENT) failure = err;
        } else if (i % 2 == 0) {
          counters[names[i / 2]] = false;
        } else {
          quotas[i / 2] = true;
        }
      });
  if (failure != 0) {
    return ErrnoStatus(Operation::kNftRead, failure, "the rules' counters");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = counters.find(names[i]);
    if (found != counters.end()) found->second = quotas[i];
  }
  return counters;
}

// The rule as it would be read back.
Rule Foreseen(const TableEdit& edit, const RuleSpec& spec, bool quota) {
  Rule rule{.family = edit.family,
            .table = edit.table,
            .id = spec.id,
            .chain = spec.chain,
            .match = spec.match,
            .counter = spec.counter,
            .verdict = spec.verdict,
            .managed = true,
            .target = std::string(TargetName(spec.verdict, spec.form))};
  rule.text = NftRuleText(edit.family, rule, {.asks_quota = quota});
  return rule;
}

// `rules` are those of the edit as they were read back.
absl::StatusOr<std::vector<Rule>> CheckAllThere(const TableEdit& edit,
                                                std::vector<Rule> rules) {
  if (absl::c_none_of(rules,
                      [](const Rule& rule) { return rule.id.empty(); })) {
    return rules;
  }
  return MakeError(
      absl::StatusCode::kUnavailable, "TABLE_OVERWRITTEN",
      absl::StrCat("the rules of ", TableSubject(edit.family, edit.table),
                   " were committed, but when they were read back another "
                   "program had removed some (a flush of the ruleset, say); "
                   "list the rules and try again"));
}

absl::Status NotReadBack(const absl::Status& why) {
  ErrorDetails details = GetErrorDetails(why);
  details.reason = "TABLE_NOT_READ_BACK";
  return MakeError(
      absl::StatusCode::kAborted,  // to do it again blindly may do it twice
      absl::StrCat("the rules are committed, but can't be read back; list the "
                   "rules before trying again: ",
                   why.message()),
      std::move(details));
}

// Nothing was done because rulesets changed between our read and our commit.
bool HasChanged(const absl::Status& status) {
  return absl::IsUnavailable(status) &&
         GetErrorDetails(status).reason == "NFT_TABLE_CHANGED";
}

}  // namespace

// One try at an edit.
class NftRuleTable::Attempt {
 public:
  Attempt(NftRuleTable& owner, const KernelEdit& edit, const EditTerms& terms)
      : table_(owner.table_),
        acct_(owner.acct_),
        edit_(edit),
        terms_(terms),
        batch_(table_.NewBatch()) {}

  absl::StatusOr<KernelOutcome> Run() {
    for (const TableEdit& table : edit_.tables) {
      NFM_RETURN_IF_ERROR(CheckLaws(table));
    }
    NFM_RETURN_IF_ERROR(Prepare());
    if (edit_.dry_run || !edit_.deleted_counters.empty()) {
      NFM_RETURN_IF_ERROR(Rehearse());
    }
    if (edit_.dry_run) return Foresee();
    NFM_RETURN_IF_ERROR(Commit());
    // From here on it is never NFT_TABLE_CHANGED, which says that nothing was
    // done.
    for (size_t i = 0; i < edit_.tables.size(); ++i) {
      NFM_RETURN_IF_ERROR(ReadBack(i));
    }
    NFM_RETURN_IF_ERROR(DeleteCounters());
    return std::move(outcome_);
  }

 private:
  // Reads what is there, and makes the transaction.
  absl::Status Prepare() {
    NFM_ASSIGN_OR_RETURN(generation_, table_.Generation());
    {
      NftTable::Lease socket(table_);
      for (const TableEdit& table : edit_.tables) {
        NFM_ASSIGN_OR_RETURN(contents_.emplace_back(),
                             ReadNftContents(*socket, table_.names(),
                                             table.family, table.table));
      }
      NFM_ASSIGN_OR_RETURN(counters_, ReadCounters(*socket, edit_));
    }
    for (const AcctObject& counter : edit_.new_counters) {
      NFM_RETURN_IF_ERROR(CheckNftCounter(counter, table_.quotas()));
      AddNftCounter(counter, batch_);
      new_counters_.resize(batch_.size(), &counter);
      counters_[counter.name] = counter.quota.has_value();
    }
    for (size_t i = 0; i < edit_.tables.size(); ++i) {
      NFM_RETURN_IF_ERROR(rules_.Add(edit_.tables[i], contents_[i]));
      outcome_.tables.push_back({.deleted = std::move(rules_.deleted()[i])});
    }
    return absl::OkStatus();
  }

  // The transaction and the deletion of counters, in one that is not committed.
  absl::Status Rehearse() {
    NftBatch all = batch_;
    std::vector<std::string> owners(all.size());
    for (const std::string& name : edit_.deleted_counters) {
      NFM_ASSIGN_OR_RETURN(AcctObject counter, acct_.Get(name));
      const std::string object = NftObjectName(name);
      if (counter.quota.has_value()) all.DeleteQuota(object);
      all.DeleteCounter(object);
      owners.resize(all.size(), name);
      last_read_.push_back(std::move(counter));
    }
    NFM_RETURN_IF_ERROR(table_.CheckSize(all));
    const NftErrors errors = table_.Rehearse(all);
    for (const auto& [message, err] : errors.messages) {
      if (errors.whole == 0 && !owners[message].empty()) {
        return ErrnoStatus(Operation::kAcctDelete, err, owners[message]);
      }
    }
    return Explain(errors);
  }

  absl::Status Explain(const NftErrors& errors) const {
    if (errors.ok()) return absl::OkStatus();
    for (const auto& [message, err] : errors.messages) {
      if (errors.whole == 0 && message < new_counters_.size() &&
          new_counters_[message] != nullptr) {
        return ErrnoStatus(
            err == EEXIST ? Operation::kAcctCreate : Operation::kNftChange, err,
            new_counters_[message]->name);
      }
    }
    return rules_.Explain(errors);
  }

  KernelOutcome Foresee() {
    for (size_t i = 0; i < edit_.tables.size(); ++i) {
      for (const RuleSpec* rule : NewRules(edit_.tables[i])) {
        outcome_.tables[i].inserted.push_back(
            Foreseen(edit_.tables[i], *rule, counters_.at(rule->counter)));
      }
    }
    outcome_.deleted_counters = std::move(last_read_);
    return std::move(outcome_);
  }

  absl::Status Commit() {
    if (batch_.size() == table_.NewBatch().size()) return absl::OkStatus();
    NFM_RETURN_IF_ERROR(table_.CheckSize(batch_));
    if (edit_.new_counters.empty()) {
      return Explain(table_.Commit(batch_, generation_));
    }
    NftErrors errors;
    NFM_RETURN_IF_ERROR(terms_.counter_turn([&] {
      errors = table_.Commit(batch_, generation_);
      CounterChanges changes;
      if (errors.ok()) changes.created = edit_.new_counters;
      return changes;
    }));
    return Explain(errors);
  }

  absl::Status ReadBack(size_t index) {
    const TableEdit& edit = edit_.tables[index];
    NftTable::Lease socket(table_);
    absl::StatusOr<NftContents> after =
        ReadNftContents(*socket, table_.names(), edit.family, edit.table);
    if (!after.ok()) return NotReadBack(after.status());
    NFM_ASSIGN_OR_RETURN(outcome_.tables[index].inserted,
                         CheckAllThere(edit, TakeNewRules(edit, after->table)));
    return absl::OkStatus();
  }

  absl::Status DeleteCounters() {
    if (edit_.deleted_counters.empty()) return absl::OkStatus();
    WaitForPackets();
    absl::Status failed;
    NFM_RETURN_IF_ERROR(terms_.counter_turn([&] {
      CounterChanges changes;
      std::vector<absl::StatusOr<AcctObject>> last;
      for (const std::string& name : edit_.deleted_counters) {
        last.push_back(acct_.Get(name));
      }
      const std::vector<absl::Status> gone =
          acct_.Delete(edit_.deleted_counters);
      for (size_t i = 0; i < gone.size(); ++i) {
        failed.Update(gone[i]);
        if (gone[i].ok() && last[i].ok()) {
          changes.deleted.push_back(*std::move(last[i]));
        }
      }
      outcome_.deleted_counters = changes.deleted;
      return changes;
    }));
    return failed.ok() ? failed : HalfDone(failed);
  }

  // The rules were changed, and then the counters could not go: somebody has
  // put rules of theirs on them in between, in a plain table.
  static absl::Status HalfDone(const absl::Status& why) {
    ErrorDetails details = GetErrorDetails(why);
    details.metadata["cause"] = details.reason;
    details.reason = "CHANGE_HALF_DONE";
    return MakeError(absl::StatusCode::kAborted,
                     absl::StrCat("the rules are changed, but counters that "
                                  "were to go with them are still there: ",
                                  why.message()),
                     std::move(details));
  }

  NftTable& table_;
  AcctTable& acct_;
  const KernelEdit& edit_;
  const EditTerms& terms_;
  uint32_t generation_ = 0;
  std::vector<NftContents> contents_;
  NftCounters counters_;
  NftBatch batch_;
  NftEdit rules_{batch_, counters_};
  // Of each message, which counter it makes; null: none.
  std::vector<const AcctObject*> new_counters_ =
      std::vector<const AcctObject*>(batch_.size());
  std::vector<AcctObject> last_read_;
  KernelOutcome outcome_;
};

absl::StatusOr<TableContents> NftRuleTable::Read(Family family, Table table) {
  NftTable::Lease socket(table_);
  NFM_ASSIGN_OR_RETURN(NftContents contents,
                       ReadNftContents(*socket, table_.names(), family, table));
  return std::move(contents.table);
}

absl::StatusOr<std::optional<uint64_t>> NftRuleTable::Fingerprint() {
  NFM_ASSIGN_OR_RETURN(const uint32_t generation, table_.Generation());
  return generation;
}

absl::StatusOr<KernelOutcome> NftRuleTable::Apply(const KernelEdit& edit,
                                                  const EditTerms& terms) {
  return TryUntil<KernelOutcome>(
      terms.patience, [&] { return Attempt(*this, edit, terms).Run(); });
}

absl::StatusOr<OwnedOutcome> NftRuleTable::ApplyOwned(
    const OwnedEdit& edit, const Patience& patience) {
  if (!edit.dry_run) NFM_RETURN_IF_ERROR(patience.CheckWanted());
  return TryUntil<OwnedOutcome>(patience, [&] { return owned_.Apply(edit); });
}

template <typename Outcome>
absl::StatusOr<Outcome> NftRuleTable::TryUntil(
    const Patience& patience,
    absl::FunctionRef<absl::StatusOr<Outcome>()> attempt) {
  absl::StatusOr<Outcome> outcome = attempt();
  for (absl::Duration pause = kNftFirstPause;
       HasChanged(outcome.status()) &&
       SystemClock().BootTime() + pause < patience.deadline() &&
       !(patience.stoppable() && stopped_);
       pause = std::min(2 * pause, kNftLongestPause)) {
    NFM_RETURN_IF_ERROR(patience.CheckWanted());
    absl::SleepFor(pause);
    outcome = attempt();
  }
  return outcome;
}

absl::StatusOr<size_t> NftRuleTable::MoveRules(const CounterMove& move,
                                               const Patience& patience) {
  NFM_ASSIGN_OR_RETURN(const size_t moved,
                       RuleTable::MoveRules(move, patience));
  // Also when no rule was left to move: those that an earlier call has moved
  // may still be counting into the old counter.
  if (!move.dry_run) WaitForPackets();
  return moved;
}

}  // namespace nfmeter::kernel
