// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_owned_chains.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/xtables/iptc_rule_table_contents.h"
#include "kernel/linux/xtables/xt_owned_target.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// The entry as the kernel gives it back: a jump has no name there.
std::vector<uint8_t> ReadBackForm(Family family, const OwnedRule& rule,
                                  std::vector<uint8_t> entry) {
  if (rule.action == OwnedAction::kJump || rule.action == OwnedAction::kGoto) {
    ClearTargetName(family, entry);
  }
  return entry;
}

absl::Status ChainHeld(const std::string& chain, const std::string& holder) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("chain ", chain,
                   " is to go, but a rule that nfmeter did not make jumps to "
                   "it: ",
                   holder, "; delete that rule first"),
      ErrorDetails{.reason = "CHAIN_HELD", .metadata = {{"chain", chain}}});
}

}  // namespace

absl::StatusOr<XtOwnedChains> XtOwnedChains::Encode(const OwnedTable& wanted,
                                                    const OwnedEdit& edit,
                                                    IpSetIndex& sets) {
  XtOwnedChains chains(wanted, edit);
  for (const OwnedChain& chain : wanted.chains) {
    auto& entries = chains.entries_.emplace_back();
    auto& texts = chains.texts_.emplace_back();
    for (const OwnedRule& rule : chain.rules) {
      absl::StatusOr<std::vector<uint8_t>> entry =
          EncodeOwnedEntry(wanted.family, rule, sets);
      if (!entry.ok()) {
        return Annotate(entry.status(), absl::StrCat("chain ", chain.name));
      }
      const std::vector<uint8_t> read =
          ReadBackForm(wanted.family, rule, *entry);
      const std::string target = OwnedTargetName(rule);
      texts.push_back(ReadRule(wanted.family, wanted.table, chain.name,
                               {.entry = read, .target = target}, sets)
                          .text);
      entries.push_back(*std::move(entry));
    }
  }
  for (const OwnedHook& hook : wanted.hooks) {
    NFM_ASSIGN_OR_RETURN(
        chains.hooks_.emplace_back(),
        EncodeOwnedEntry(wanted.family,
                         {.action = OwnedAction::kJump, .chain = hook.to},
                         sets));
  }
  return chains;
}

OwnedSteps XtOwnedChains::Compare(const TableContents& contents) const {
  return CompareOwned(contents, wanted_, owner_, placement_, texts_);
}

absl::Status XtOwnedChains::Failed(int err) const {
  return ErrnoStatus(Operation::kRuleCommit, err,
                     TableSubject(wanted_.family, wanted_.table));
}

absl::Status XtOwnedChains::Carry(const OwnedSteps& steps,
                                  const TableContents& contents,
                                  IptcHandle& handle) const {
  NFM_RETURN_IF_ERROR(Fill(steps, handle));
  NFM_RETURN_IF_ERROR(MakeJumps(steps, handle));
  return Remove(steps, contents, handle);
}

absl::Status XtOwnedChains::Fill(const OwnedSteps& steps,
                                 IptcHandle& handle) const {
  // All first, as they jump to each other.
  for (const std::string& chain : steps.made) {
    if (const int err = handle.CreateChain(chain)) return Failed(err);
  }
  for (const size_t i : steps.filled) {
    const std::string& chain = wanted_.chains[i].name;
    if (const int err = handle.Flush(chain)) return Failed(err);
    for (const std::vector<uint8_t>& entry : entries_[i]) {
      if (const int err = handle.Append(chain, entry.data())) {
        return Failed(err);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status XtOwnedChains::MakeJumps(const OwnedSteps& steps,
                                      IptcHandle& handle) const {
  for (const OwnedSteps::Jumps& jumps : steps.deleted_jumps) {
    for (auto position = jumps.positions.rbegin();
         position != jumps.positions.rend(); ++position) {
      if (const int err = handle.Delete(jumps.chain, *position)) {
        return Failed(err);
      }
    }
  }
  for (const size_t i : steps.made_jumps) {
    const std::string& chain = wanted_.hooks[i].from;
    const int err = placement_ == RulePlacement::kHead
                        ? handle.Insert(chain, 1, hooks_[i].data())
                        : handle.Append(chain, hooks_[i].data());
    if (err != 0) return Failed(err);
  }
  return absl::OkStatus();
}

absl::Status XtOwnedChains::Remove(const OwnedSteps& steps,
                                   const TableContents& contents,
                                   IptcHandle& handle) const {
  const std::string prefix = OwnedChainsOf(owner_);
  const auto goes = [&](absl::string_view chain) {
    return std::find(steps.removed.begin(), steps.removed.end(), chain) !=
           steps.removed.end();
  };
  if (steps.removed.empty()) return absl::OkStatus();
  for (const Chain& chain : contents.chains) {
    if (absl::StartsWith(chain.name, prefix)) continue;
    for (const Rule& rule : chain.rules) {
      const bool ours = std::any_of(
          steps.deleted_jumps.begin(), steps.deleted_jumps.end(),
          [&](const OwnedSteps::Jumps& jumps) {
            return jumps.chain == chain.name &&
                   std::count(jumps.positions.begin(), jumps.positions.end(),
                              rule.position) > 0;
          });
      if (!ours && goes(rule.target)) return ChainHeld(rule.target, rule.text);
    }
  }
  // All are emptied first, as they jump to each other.
  for (const std::string& chain : steps.removed) {
    if (const int err = handle.Flush(chain)) return Failed(err);
  }
  for (const std::string& chain : steps.removed) {
    if (const int err = handle.DeleteChain(chain)) return Failed(err);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
