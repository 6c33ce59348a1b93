// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel's packet-filter rules that feed accounting objects, in the
// domain's words.
#ifndef NFMETER_KERNEL_RULE_TABLE_H_
#define NFMETER_KERNEL_RULE_TABLE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "kernel/kernel_edit.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The tables of one network namespace.
//
// Not thread-safe, StopWaiting() apart: each one belongs to one lane.
//
// Statuses: NOT_FOUND (chain, counter, ipset, rule id), ALREADY_EXISTS (id,
// counter), FAILED_PRECONDITION (a rule of somebody else's, a counter that is
// held), INVALID_ARGUMENT (the kernel refused the rule in this place),
// UNAVAILABLE (others had the tables until the deadline, or a table kept
// changing), UNIMPLEMENTED (no such table or match in this kernel),
// PERMISSION_DENIED.
class RuleTable {
 public:
  virtual ~RuleTable() = default;

  // Reads a whole table.
  virtual absl::StatusOr<TableContents> Read(Family family, Table table) = 0;

  // A number that stays as it is while nobody, this process included, changes a
  // rule or a chain of these tables; counting is no change. Other contents have
  // it with a chance of one in 2^64. Only this process can compare numbers. It
  // costs less than reading. nullopt: it can't be told; read the tables.
  virtual absl::StatusOr<std::optional<uint64_t>> Fingerprint() = 0;

  // Carries out all of the edit or nothing. Everything that it does not name is
  // the same afterwards, rule counters included.
  //
  // While it waits for others it gives up at the deadline. CANCELLED: when its
  // turn came nobody wanted it any more, and it changed nothing. What has begun
  // is carried to its end. ABORTED, CHANGE_HALF_DONE: a backend that needs
  // several steps failed at a later one and could not take back the earlier;
  // the message says what stands. What concerns one new rule comes with its
  // field, see AtField() in rule_edit.h.
  virtual absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit,
                                              const EditTerms& terms) = 0;

  // Makes the chains of one owner, and the jumps into them, as they are wanted:
  // one commit for each table in which something differs. Counters exist. A
  // table of which nothing is wanted and that nobody uses is left alone.
  // Each table is all or nothing; when a later one fails, earlier ones stay:
  // whoever wants the owner's old chains back asks for them; a backend with
  // transactions changes all tables or none. Statuses as Apply();
  // FAILED_PRECONDITION, CHAIN_HELD: a rule of somebody else's jumps to a chain
  // that is to go.
  virtual absl::StatusOr<OwnedOutcome> ApplyOwned(const OwnedEdit& edit,
                                                  const Patience& patience) = 0;

  // Whether ApplyOwned() takes maps.
  virtual bool CountsByMaps() const { return false; }

  // Makes the rules of ours that count into `from` count into `to`, where they
  // stand and with their own counters; in one commit for each table. Those of
  // owned chains, too, where an owner's chains are of rules alone; where it has
  // maps (CountsByMaps()) they stay, and their owner changes them by
  // ApplyOwned(). Every packet is counted into one of the two. Returns how many
  // rules it moved; a dry run, for which `to` need not exist, how many it
  // would. FAILED_PRECONDITION, COUNTER_IN_USE: a rule of somebody else's
  // counts into `from`; nothing was changed. Else as Apply().
  struct CounterMove {
    std::string from;
    std::string to;
    bool dry_run = false;
  };
  virtual absl::StatusOr<size_t> MoveRules(const CounterMove& move,
                                           const Patience& patience);

  // From now on nothing waits for others: an Apply() that does ends as at its
  // deadline. For the end of the process. Thread-safe, unlike the rest.
  virtual void StopWaiting() = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_TABLE_H_
