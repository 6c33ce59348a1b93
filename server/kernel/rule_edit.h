// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable does alike: it names foreign rules, and checks an edit
// against the table as it was read before it changes anything.
#ifndef NFMETER_KERNEL_RULE_EDIT_H_
#define NFMETER_KERNEL_RULE_EDIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernel/kernel_edit.h"

namespace nfmeter::kernel {

// "filter (IPv4)": a table as sentences name it.
std::string TableSubject(Family family, Table table);

// The table before anybody used it: built-in chains with policy ACCEPT.
TableContents EmptyTable(Family family, Table table);

// Gives the rules of `contents` their positions, and those without an id the
// id of a foreign rule: '~' and 16 hex digits. Rules that look the same get
// different ids by their order, so an id is stable for as long as the rule and
// those that are equal to it stay. A rule with our mark whose id another one
// has already, a copy by somebody else's hand, becomes a foreign rule.
void NumberRules(TableContents& contents);

// The rules that an edit brings into being: restorations, then insertions.
std::vector<const RuleSpec*> NewRules(const TableEdit& edit);

// The rules that an edit has brought into being, moved out of `contents`, which
// was read back, in the order of NewRules(). One that is not there is empty.
std::vector<Rule> TakeNewRules(const TableEdit& edit, TableContents& contents);

// The rule as it was, to be put back.
RestoredRule AsItWas(const Rule& rule);

// For people: Rule::text, and where that does not say so, where the rule is.
std::string TextWithPlace(const Rule& rule);

// FAILED_PRECONDITION, COUNTER_IN_USE: a rule of somebody else's counts into
// the counter.
absl::Status CounterHeldBy(const Rule& rule, absl::string_view counter);

// Whether the rule counts into the counter, and whether it is ours to change:
// by its id, or as its chain is owned.
bool CountsInto(const Rule& rule, absl::string_view counter);
bool IsOurs(const Rule& rule);
bool IsInOwnedChain(const Rule& rule);
// In an owned chain, or a jump to one.
bool IsOfOwner(const Rule& rule);

// `status` as that of one field of one rule of an edit: with the rule's id as
// metadata "rule", and a violation of `field`, its path within the rule
// ("match.source"; empty: the whole rule). RuleService makes of this a place in
// its request.
absl::Status AtField(const RuleSpec& rule, absl::string_view field,
                     const absl::Status& status);

// The same, and its message says which rule it is about in words for people,
// who may never have seen an id that the server chose.
absl::Status AboutRule(const RuleSpec& rule, absl::string_view field,
                       const absl::Status& status);

// Where an edit takes place.
struct EditPlan {
  // Deletions of one chain.
  struct ChainDeletions {
    size_t chain = 0;                 // index in TableContents::chains
    std::vector<uint32_t> positions;  // from 1, rising
  };
  std::vector<ChainDeletions> deletions;
  // The rules that go away, in the order of the edit.
  std::vector<Rule> deleted;
};

// INVALID_ARGUMENT, RULE_REFUSED: an insertion breaks a law (rule_law.h), with
// all its fields that do. Restorations were there before, whatever the law was
// then. Every Edit() begins with this.
absl::Status CheckLaws(const TableEdit& edit);

// Checks `edit` against `contents` (numbered). NOT_FOUND: CHAIN_NOT_FOUND,
// RULE_NOT_FOUND. ALREADY_EXISTS: RULE_EXISTS. FAILED_PRECONDITION:
// FOREIGN_RULE. INVALID_ARGUMENT: RULE_NAMED_TWICE, and RULE_REFUSED for
// what the kernel refuses in chains that are reached as this one is. What
// concerns one new rule comes with its field, see AtField().
absl::StatusOr<EditPlan> PlanEdit(const TableContents& contents,
                                  const TableEdit& edit);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_EDIT_H_
