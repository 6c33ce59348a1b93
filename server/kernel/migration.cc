// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/migration.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// How long others are waited for.
constexpr absl::Duration kPatience = absl::Seconds(30);

// The hash of a plan's name, and its '-': what its chains begin with.
constexpr size_t kOwnerBytes = 9;

// What is there to be moved.
struct Found {
  std::vector<AcctObject> counters;
  std::vector<TableEdit> tables;  // with restorations alone
  std::set<std::string> owners;   // of chains
  size_t rules = 0;
};

class CounterReader : public AcctReader {
 public:
  explicit CounterReader(std::vector<AcctObject>& out) : out_(out) {}

  void OnBegin() override { out_.clear(); }
  void OnRecords(absl::Span<const AcctRecord> records) override {
    for (const AcctRecord& each : records) {
      out_.push_back({.name = std::string(each.name),
                      .packets = each.packets,
                      .bytes = each.bytes,
                      .quota = each.quota});
    }
  }

 private:
  std::vector<AcctObject>& out_;
};

absl::Status InUse(const Rule& rule, absl::string_view counter) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("a rule that nfmeter did not make counts into counter ",
                   EscapeName(counter), ": ", EscapeName(rule.text),
                   "; delete the rule, or make it through nfmeter; nothing was "
                   "changed"),
      ErrorDetails{.reason = "COUNTER_IN_USE",
                   .metadata = {{"counter", EscapeName(counter)}}});
}

// The rules of one table.
absl::Status ReadTable(const TableContents& contents, Found& found) {
  TableEdit edit = {.family = contents.family, .table = contents.table};
  for (const Chain& chain : contents.chains) {
    if (absl::StartsWith(chain.name, kOwnedChainPrefix)) {
      found.owners.insert(
          chain.name.substr(kOwnedChainPrefix.size(), kOwnerBytes));
      continue;
    }
    for (const Rule& rule : chain.rules) {
      if (!rule.managed) {
        if (!rule.counter.empty()) return InUse(rule, rule.counter);
        continue;
      }
      RestoredRule moved = AsItWas(rule);
      moved.spec.form = CountingForm::kMatch;  // which every backend has
      edit.restorations.push_back(std::move(moved));
    }
  }
  found.rules += edit.restorations.size();
  if (!edit.restorations.empty()) found.tables.push_back(std::move(edit));
  return absl::OkStatus();
}

absl::StatusOr<Found> ReadAll(Kernel& from) {
  Found found;
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      const absl::StatusOr<TableContents> contents =
          from.rules().Read(family, table);
      // A table that this kernel lacks holds nothing.
      if (absl::IsUnimplemented(contents.status())) continue;
      if (!contents.ok()) return contents.status();
      NFM_RETURN_IF_ERROR(ReadTable(*contents, found));
    }
  }
  CounterReader reader(found.counters);
  NFM_ASSIGN_OR_RETURN(const AcctDumpOutcome dumped,
                       from.acct().DumpVerified(AcctDumpFilter::kAll, reader));
  if (dumped.complete) return found;
  return MakeError(absl::StatusCode::kUnavailable, "SNAPSHOT_INCOMPLETE",
                   "others kept deleting counters while they were read; "
                   "nothing was changed, try again");
}

// The edit that makes what was found.
KernelEdit Arrival(const Found& found) {
  return {.new_counters = found.counters, .tables = found.tables};
}

// The edit that deletes it.
KernelEdit Departure(const Found& found) {
  KernelEdit edit;
  for (const TableEdit& table : found.tables) {
    TableEdit& deletions = edit.tables.emplace_back(
        TableEdit{.family = table.family, .table = table.table});
    for (const RestoredRule& rule : table.restorations) {
      deletions.deletions.push_back(rule.spec.id);
    }
  }
  edit.deleted_counters = NamesOf(found.counters);
  return edit;
}

// Values as they were when the objects were deleted.
void TakeLastValues(const KernelOutcome& gone, Found& found) {
  found.counters.clear();
  for (const AcctObject& counter : gone.deleted_counters) {
    found.counters.push_back({.name = counter.name,
                              .packets = counter.packets,
                              .bytes = counter.bytes,
                              .quota = counter.quota});
  }
  for (size_t i = 0; i < found.tables.size(); ++i) {
    for (size_t j = 0; j < found.tables[i].restorations.size(); ++j) {
      RestoredRule& rule = found.tables[i].restorations[j];
      rule.packets = gone.tables[i].deleted[j].packets;
      rule.bytes = gone.tables[i].deleted[j].bytes;
    }
  }
}

}  // namespace

absl::StatusOr<Migration> MigrateCounting(Kernel& from, Kernel& to,
                                          Clock& clock) {
  NFM_ASSIGN_OR_RETURN(Found found, ReadAll(from));
  const auto terms = [&] {
    return EditTerms(Patience::ToTheEnd(clock.BootTime() + kPatience));
  };
  KernelEdit tried = Arrival(found);
  tried.dry_run = true;
  NFM_RETURN_IF_ERROR(to.rules().Apply(tried, terms()).status());
  KernelEdit departure = Departure(found);
  departure.dry_run = true;
  // Counters that plans count into are held until their chains are gone.
  if (found.owners.empty()) {
    NFM_RETURN_IF_ERROR(from.rules().Apply(departure, terms()).status());
  }
  departure.dry_run = false;

  const absl::Duration start = clock.BootTime();
  for (const std::string& owner : found.owners) {
    NFM_RETURN_IF_ERROR(
        from.rules().ApplyOwned({.owner = owner}, terms().patience).status());
  }
  NFM_ASSIGN_OR_RETURN(const KernelOutcome gone,
                       from.rules().Apply(departure, terms()));
  TakeLastValues(gone, found);
  const absl::Status there = to.rules().Apply(Arrival(found), terms()).status();
  if (there.ok()) {
    return Migration{.counters = found.counters.size(),
                     .rules = found.rules,
                     .plans = found.owners.size(),
                     .missed = clock.BootTime() - start};
  }
  const absl::Status back =
      from.rules().Apply(Arrival(found), terms()).status();
  if (back.ok()) return there;
  return MakeError(
      absl::StatusCode::kAborted, "CHANGE_HALF_DONE",
      absl::StrCat("counters and rules are gone from the old backend, and the "
                   "new one did not take them: ",
                   there.message(),
                   "; nor could they be put back: ", back.message()));
}

}  // namespace nfmeter::kernel
