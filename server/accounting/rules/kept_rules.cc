// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/kept_rules.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr char kSchema[] = R"sql(
  CREATE TABLE rules (
    id TEXT NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL,
    placement INTEGER NOT NULL,  -- 0: head, 1: tail
    cgroup INTEGER NOT NULL,     -- that it is bound to, 0: none
    rule BLOB NOT NULL
  ) WITHOUT ROWID;
)sql";

constexpr char kTimeSchema[] = R"sql(
  -- When it was made, since the Unix epoch; 0: not known.
  ALTER TABLE rules ADD COLUMN made_ns INTEGER NOT NULL DEFAULT 0;
)sql";

absl::Time FromStored(int64_t nanos) {
  return nanos == 0 ? absl::InfinitePast() : absl::FromUnixNanos(nanos);
}
int64_t ToStored(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToUnixNanos(time);
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeptRules>> KeptRules::Open(
    const std::string& path, Codec codec, kernel::CgroupTree& cgroups,
    Clock& clock) {
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open({
                                    .path = path.empty() ? ":memory:" : path,
                                    .noun = "the store of rules",
                                    .unusable_reason = "RULE_STORE_UNUSABLE",
                                    .failed_reason = "RULE_STORE_FAILED",
                                    .application_id = 0x4e464d52,  // "NFMR"
                                    .migrations = {kSchema, kTimeSchema},
                                    .patient = true,
                                }));
  auto kept = absl::WrapUnique(
      new KeptRules(std::move(db), std::move(codec), cgroups, clock));
  NFM_RETURN_IF_ERROR(kept->Load());
  return kept;
}

absl::Status KeptRules::Load() {
  absl::MutexLock write_lock(&write_mutex_);
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT id, sequence, placement, cgroup, rule, made_ns "
                   "FROM rules"));
  return sqlite::ForEachRow(rows, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Kept kept = {.sequence = rows.Uint64(1),
                 .text = std::string(rows.Bytes(4)),
                 .made = FromStored(rows.Int64(5))};
    next_ = std::max(next_, kept.sequence + 1);
    absl::StatusOr<NewRule> rule = codec_.read(kept.text);
    if (!rule.ok()) return;
    kept.wanted = {.rule = *std::move(rule),
                   .placement = rows.Int64(2) == 0
                                    ? kernel::RulePlacement::kHead
                                    : kernel::RulePlacement::kTail,
                   .cgroup = rows.Uint64(3)};
    rules_[std::string(rows.Bytes(0))] = std::move(kept);
  });
}

bool KeptRules::empty() const {
  absl::MutexLock lock(&mutex_);
  return rules_.empty();
}

uint64_t KeptRules::CgroupOf(const NewRule& rule) const {
  const auto& path = rule.spec.match.cgroup_path;
  return path.has_value() ? cgroups_.Find(path->value).value_or(0) : 0;
}

uint64_t KeptRules::version() const {
  absl::MutexLock lock(&mutex_);
  return version_;
}

bool KeptRules::AreBound() const {
  if (!cgroups_.visible()) return true;
  absl::MutexLock lock(&mutex_);
  return absl::c_all_of(rules_, [&](const auto& each) {
    const WantedRule& wanted = each.second.wanted;
    return !wanted.rule.spec.match.cgroup_path.has_value() ||
           CgroupOf(wanted.rule) == wanted.cgroup;
  });
}

std::vector<WantedRule> KeptRules::All() const {
  std::vector<std::pair<uint64_t, WantedRule>> numbered;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, kept] : rules_) {
      numbered.emplace_back(kept.sequence, kept.wanted);
    }
  }
  std::sort(numbered.begin(), numbered.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<WantedRule> all;
  all.reserve(numbered.size());
  for (auto& [sequence, wanted] : numbered) {
    if (wanted.rule.spec.match.cgroup_path.has_value() && cgroups_.visible()) {
      const uint64_t bound = wanted.cgroup;
      wanted.cgroup = CgroupOf(wanted.rule);
      wanted.rebind = wanted.cgroup != bound;
      wanted.away = wanted.cgroup == 0;
    }
    all.push_back(std::move(wanted));
  }
  return all;
}

void KeptRules::NoteBound(absl::Span<const WantedRule> rules) {
  {
    absl::MutexLock lock(&mutex_);
    for (const WantedRule& rule : rules) {
      const auto found = rules_.find(rule.rule.spec.id);
      if (found == rules_.end() || found->second.wanted.cgroup == rule.cgroup) {
        continue;
      }
      found->second.wanted.cgroup = rule.cgroup;
      ++version_;
      unwritten_.insert(rule.rule.spec.id);
    }
  }
  CommitRules();
}

std::vector<std::string> KeptRules::CountersOf(
    absl::Span<const std::string> ids) const {
  std::set<std::string> counters;
  absl::MutexLock lock(&mutex_);
  for (const std::string& id : ids) {
    const auto found = rules_.find(id);
    if (found != rules_.end()) {
      counters.insert(found->second.wanted.rule.spec.counter);
    }
  }
  return {counters.begin(), counters.end()};
}

absl::Time KeptRules::MadeAt(absl::Span<const std::string> ids) const {
  absl::Time first = absl::InfiniteFuture();
  absl::MutexLock lock(&mutex_);
  for (const std::string& id : ids) {
    const auto found = rules_.find(id);
    if (found != rules_.end()) first = std::min(first, found->second.made);
  }
  return first == absl::InfiniteFuture() ? absl::InfinitePast() : first;
}

void KeptRules::OnRulesCreated(absl::Span<const kernel::Rule> rules,
                               kernel::RulePlacement placement) {
  absl::MutexLock lock(&mutex_);
  ++version_;
  // One edit puts its rules at the head in their order: made again one by one,
  // the last comes first.
  const auto note =
      [&](const kernel::Rule& rule) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        Kept kept = {.sequence = next_++,
                     .text = codec_.write(rule),
                     .made = clock_.WallTime()};
        absl::StatusOr<NewRule> read = codec_.read(kept.text);
        if (!read.ok()) return;  // a rule that the API itself refuses
        const uint64_t cgroup = CgroupOf(*read);
        kept.wanted = {
            .rule = *std::move(read), .placement = placement, .cgroup = cgroup};
        rules_[rule.id] = std::move(kept);
        unwritten_.insert(rule.id);
      };
  if (placement == kernel::RulePlacement::kHead) {
    std::for_each(rules.rbegin(), rules.rend(), note);
  } else {
    std::for_each(rules.begin(), rules.end(), note);
  }
}

void KeptRules::OnRulesDeleted(absl::Span<const kernel::Rule> rules) {
  absl::MutexLock lock(&mutex_);
  ++version_;
  for (const kernel::Rule& rule : rules) {
    if (rules_.erase(rule.id) > 0) unwritten_.insert(rule.id);
  }
}

void KeptRules::CommitRules() {
  absl::MutexLock write_lock(&write_mutex_);
  std::set<std::string> ids;
  {
    absl::MutexLock lock(&mutex_);
    ids.swap(unwritten_);
  }
  if (ids.empty() || Write(ids).ok()) return;
  absl::MutexLock lock(&mutex_);
  unwritten_.merge(ids);
}

absl::Status KeptRules::Write(const std::set<std::string>& ids) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?, ?)"));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                       db_->Prepare("DELETE FROM rules WHERE id = ?"));
  for (const std::string& id : ids) {
    Kept kept;
    bool there = false;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = rules_.find(id);
      there = found != rules_.end();
      if (there) kept = found->second;
    }
    if (!there) {
      NFM_RETURN_IF_ERROR(remove.Run(absl::string_view(id)));
      continue;
    }
    const int placement =
        kept.wanted.placement == kernel::RulePlacement::kHead ? 0 : 1;
    NFM_RETURN_IF_ERROR(put.Run(absl::string_view(id), kept.sequence, placement,
                                kept.wanted.cgroup, sqlite::Blob{kept.text},
                                ToStored(kept.made)));
  }
  return transaction.Commit();
}

}  // namespace nfmeter::accounting
