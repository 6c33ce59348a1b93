// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_owned_table.h"

#include <errno.h>

#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/owned_diff.h"

namespace nfmeter::kernel {
namespace {

// How many elements a transaction has where maps are filled before the change.
constexpr size_t kElementsPerBatch = 500;

// A map that counts, and that is to change by more than one transaction takes
// or by what nft_owned_moves.h says, is not changed: another is filled beside
// it, and then the rules look into that one. So a map has its own name, or that
// with "-b" behind it, by turns.
constexpr absl::string_view kOther = "-b";

std::string OtherName(absl::string_view name) {
  if (absl::ConsumeSuffix(&name, kOther)) return std::string(name);
  return absl::StrCat(name, kOther);
}

// The map or the set that an expression looks into; null: none.
template <typename Expression>
auto PlaceOf(Expression& expression)
    -> decltype(&std::get<NftLookup>(expression).set) {
  if (auto* map = std::get_if<NftObjectMap>(&expression)) return &map->map;
  if (auto* set = std::get_if<NftLookup>(&expression)) return &set->set;
  return nullptr;
}

// Calls these maps, and them alone, by their other names.
void UseOtherNames(const absl::flat_hash_set<std::string>& maps,
                   NftWanted& wanted) {
  if (maps.empty()) return;
  for (NftWantedMap& each : wanted.maps) {
    if (maps.contains(each.map.name)) {
      each.map.name = OtherName(each.map.name);
    }
  }
  for (NftWantedChain& chain : wanted.chains) {
    for (NftRule& rule : chain.rules) {
      for (NftExpression& each : rule.bytes.expressions) {
        std::string* const place = PlaceOf(each);
        if (place != nullptr && maps.contains(*place)) {
          *place = OtherName(*place);
        }
      }
    }
  }
}

// Calls the maps that are wanted as those are called that the rules which are
// there look into.
void UseFoundNames(const NftFound& found, NftWanted& wanted) {
  absl::flat_hash_set<std::string> used;
  for (const NftFoundChain& chain : found.chains) {
    for (const NftRuleBytes& rule : chain.rules) {
      for (const NftExpression& each : rule.expressions) {
        const std::string* const place = PlaceOf(each);
        if (place != nullptr) used.insert(*place);
      }
    }
  }
  absl::flat_hash_set<std::string> renamed;
  for (const NftWantedMap& each : wanted.maps) {
    const std::string& name = each.map.name;
    if (!used.contains(name) && used.contains(OtherName(name))) {
      renamed.insert(name);
    }
  }
  UseOtherNames(renamed, wanted);
}

// Rules hold the number of a cgroup, and its path may lead to another by now.
bool NamesCgroups(const std::vector<OwnedTable>& tables) {
  for (const OwnedTable& table : tables) {
    for (const OwnedChain& chain : table.chains) {
      for (const OwnedRule& rule : chain.rules) {
        if (rule.match.cgroup_path.has_value()) return true;
      }
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<OwnedOutcome> NftOwnedTable::Apply(const OwnedEdit& edit) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<OwnedOutcome> outcome = ApplyLocked(edit);
  if (!outcome.ok()) known_.erase(edit.owner);
  return outcome;
}

absl::StatusOr<const NftOwnedTable::Known*> NftOwnedTable::Remember(
    const std::string& owner, uint32_t generation) {
  const auto known = known_.find(owner);
  if (known == known_.end()) return nullptr;
  if (known->second.generation == generation) return &known->second;
  if (!known->second.held) return nullptr;
  NFM_ASSIGN_OR_RETURN(const bool ours, table_.IsHeld());
  return ours ? &known->second : nullptr;
}

absl::Status NftOwnedTable::Learn(const OwnedEdit& edit,
                                  const NftWanted& wanted,
                                  uint32_t generation) {
  known_.erase(edit.owner);
  if (edit.wanted.empty() || NamesCgroups(edit.wanted)) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(const bool held, table_.IsHeld());
  Known& known = known_[edit.owner];
  known = {.generation = generation,
           .held = held,
           .wanted = edit.wanted,
           .placement = edit.placement};
  for (const NftWantedMap& map : wanted.maps) {
    known.elements[map.map.name] = map.elements;
  }
  return absl::OkStatus();
}

absl::StatusOr<OwnedOutcome> NftOwnedTable::ApplyLocked(const OwnedEdit& edit) {
  NFM_ASSIGN_OR_RETURN(const uint32_t generation, table_.Generation());
  NFM_ASSIGN_OR_RETURN(const Known* known, Remember(edit.owner, generation));
  if (known != nullptr && known->placement == edit.placement &&
      known->wanted == edit.wanted) {
    return OwnedOutcome();
  }
  NFM_ASSIGN_OR_RETURN(NftWanted wanted, CompileNftOwned(edit));
  NftFound found;
  {
    NftTable::Lease socket(table_);
    NFM_ASSIGN_OR_RETURN(
        found, ReadNftOwned(*socket, OwnedChainsOf(edit.owner),
                            known != nullptr ? &known->elements : nullptr));
  }
  UseFoundNames(found, wanted);
  NftOwnedChange change = CompareNftOwned(wanted, found, table_.NewBatch());
  OwnedOutcome outcome{.differences = std::move(change.differences)};
  if (edit.dry_run || outcome.differences.empty()) {
    NFM_ASSIGN_OR_RETURN(const uint32_t now, table_.Generation());
    // What was read must be of one moment; in a table that is ours it is.
    if (now != generation && known == nullptr && !table_.owned()) {
      return ErrnoStatus(Operation::kNftChange, ERESTART, kNftTableSubject);
    }
    if (outcome.differences.empty()) {
      NFM_RETURN_IF_ERROR(Learn(edit, wanted, generation));
    }
    return outcome;
  }
  if (!change.moved_maps.empty()) {
    UseOtherNames(change.moved_maps, wanted);
    change = CompareNftOwned(wanted, found, table_.NewBatch());
  }
  NFM_ASSIGN_OR_RETURN(const Fitted fitted,
                       FitIn(std::move(change), found, wanted));
  const uint32_t last = generation + fitted.commits;
  const NftErrors errors = table_.Commit(fitted.change.batch, last);
  if (!errors.ok()) {
    // After ERESTART the maps are kept: the next try finds them filled.
    if (errors.whole != ERESTART) Drop(fitted.filled);
    return Explain(errors, fitted.change);
  }
  // The change is made. If what follows fails, the next call reads everything
  // anew and finds what is left.
  known_.erase(edit.owner);
  const std::optional<uint32_t> more = CleanUp(fitted.change);
  outcome.commits = 1 + more.value_or(0);
  if (more.has_value()) Learn(edit, wanted, last + 1 + *more).IgnoreError();
  return outcome;
}

std::optional<uint32_t> NftOwnedTable::CleanUp(const NftOwnedChange& change) {
  if (change.takes_rules) WaitForPackets();
  if (change.old_maps.empty()) return 0;
  NftBatch batch = table_.NewBatch();
  for (const std::string& map : change.old_maps) batch.DeleteMap(map);
  return table_.Commit(batch).ok() ? std::optional<uint32_t>(1) : std::nullopt;
}

absl::StatusOr<NftOwnedTable::Fitted> NftOwnedTable::FitIn(
    NftOwnedChange change, const NftFound& found, NftWanted& wanted) {
  NftOwnedChange whole = change;
  whole.AddMaps();
  whole.AddRules();
  if (table_.CheckSize(whole.batch).ok()) {
    return Fitted{.change = std::move(whole), .filled = {}};
  }
  if (!CheckRest(change).ok()) {
    UseOtherNames(change.changed_maps, wanted);
    change = CompareNftOwned(wanted, found, table_.NewBatch());
    NFM_RETURN_IF_ERROR(CheckRest(change));
  }
  Fitted fitted;
  fitted.filled = std::move(change.new_maps);
  NFM_ASSIGN_OR_RETURN(fitted.commits, Fill(fitted.filled));
  change.new_maps.clear();
  change.AddRules();
  fitted.change = std::move(change);
  return fitted;
}

absl::Status NftOwnedTable::CheckRest(NftOwnedChange rest) const {
  rest.AddRules();
  return table_.CheckSize(rest.batch);
}

absl::StatusOr<uint32_t> NftOwnedTable::Fill(
    absl::Span<const NftWantedMap* const> maps) {
  uint32_t commits = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    absl::Status filled = FillOne(*maps[i], commits);
    if (filled.ok()) continue;
    Drop(maps.first(i + 1));
    return filled;
  }
  return commits;
}

absl::Status NftOwnedTable::FillOne(const NftWantedMap& map,
                                    uint32_t& commits) {
  const absl::Span<const NftBatch::MapElement> all = map.elements;
  for (size_t i = 0; i < all.size() || i == 0; i += kElementsPerBatch) {
    NftOwnedChange part;
    part.batch = table_.NewBatch();
    part.batch.AddMap(map.map);
    part.batch.AddElements(map.map.name, all.subspan(i, kElementsPerBatch));
    part.subjects.resize(part.batch.size(), map.map.name);
    NFM_RETURN_IF_ERROR(Explain(table_.Commit(part.batch), part));
    ++commits;
  }
  return absl::OkStatus();
}

// Each in a transaction of its own, as some may not be there.
void NftOwnedTable::Drop(absl::Span<const NftWantedMap* const> maps) {
  for (const NftWantedMap* map : maps) {
    NftBatch batch = table_.NewBatch();
    batch.DeleteMap(map->map.name);
    // What can't be deleted now is unwanted at the next comparison.
    table_.Commit(batch);
  }
}

absl::Status NftOwnedTable::Explain(const NftErrors& errors,
                                    const NftOwnedChange& change) const {
  if (errors.ok()) return absl::OkStatus();
  for (const auto& [message, err] : errors.messages) {
    if (errors.whole != 0 || message >= change.subjects.size() ||
        change.subjects[message].empty()) {
      continue;
    }
    const std::string& subject = change.subjects[message];
    if (err != ENOENT) return ErrnoStatus(Operation::kNftChange, err, subject);
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "PLAN_REFUSED",
        absl::StrCat("nf_tables refused '", subject,
                     "': a counter that it needs was deleted meanwhile, or "
                     "this kernel's nf_tables lacks something that it asks for "
                     "(modules nft_ct, nft_socket, nft_fib_inet, "
                     "nft_reject_inet); nothing was changed"));
  }
  return ErrnoStatus(Operation::kNftChange, errors.first(), kNftTableSubject);
}

}  // namespace nfmeter::kernel
