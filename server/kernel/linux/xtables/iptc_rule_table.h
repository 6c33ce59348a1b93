// SPDX-License-Identifier: GPL-3.0-or-later
// Legacy iptables through libiptc.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_namespace.h"
#include "kernel/linux/xtables/ip_set_socket.h"
#include "kernel/linux/xtables/iptc_rule_table_handle.h"
#include "kernel/linux/xtables/xt_owned_chains.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "kernel/rule_edit.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// Between two calls it holds nothing but a socket for ipset names: every call
// starts from the kernel's table as it is then. What libiptc knows belongs to a
// handle that lives during one call (its one global is the text of
// iptc_strerror, which we do not use), so that any number of these may be in
// use, each in one thread at a time.
class IptcRuleTable : public RuleTable {
 public:
  // How tables are opened; tests put something between us and libiptc.
  using Opener = std::function<absl::StatusOr<std::unique_ptr<IptcHandle>>(
      Family family, Table table)>;

  // The tables of a namespace. `acct` has the counters that rules count into,
  // and must outlive this; `names` says what their short names stand for.
  explicit IptcRuleTable(
      AcctTable& acct, Opener open = IptcHandle::Open,
      NetworkNamespace network = {},
      std::shared_ptr<const AcctNames> names = std::make_shared<AcctNames>())
      : acct_(acct),
        open_(std::move(open)),
        network_(std::move(network)),
        names_(std::move(names)) {}

  // A table that nobody has used so far is answered without touching it, as
  // reading would bring it into being (see TablePresence). PERMISSION_DENIED,
  // TABLE_NOT_VISIBLE: it can't be known whether there is one.
  absl::StatusOr<TableContents> Read(Family family, Table table) override;

  // Of all tables that are there.
  absl::StatusOr<std::optional<uint64_t>> Fingerprint() override;

  // One commit a table, see ApplyTableByTable().
  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit,
                                      const EditTerms& terms) override;

  absl::StatusOr<OwnedOutcome> ApplyOwned(const OwnedEdit& edit,
                                          const Patience& patience) override;

  // All tables in turn, each in one commit; what had been moved before one
  // failed goes back.
  absl::StatusOr<size_t> MoveRules(const CounterMove& move,
                                   const Patience& patience) override;

  void StopWaiting() override { lock_interrupter_.Interrupt(); }

  // One read-modify-commit under the xtables lock, all or nothing.
  absl::StatusOr<TableOutcome> Edit(const TableEdit& edit,
                                    const Patience& patience);
  // Checks all that Edit() would, and changes nothing. `new_counters` need not
  // exist yet.
  absl::StatusOr<TableOutcome> Rehearse(
      const TableEdit& edit, absl::Span<const AcctObject> new_counters = {});

 private:
  using Entries = std::vector<std::vector<uint8_t>>;

  absl::StatusOr<Entries> Encode(const TableEdit& edit);
  // Checks the edit against the table as it is before its first rule. What is
  // not found there may be in a table that can't be seen: TABLE_NOT_VISIBLE.
  static absl::StatusOr<EditPlan> PlanUnread(const TableEdit& edit);
  // One read, one commit, one read. UNAVAILABLE, TABLE_CHANGED: nothing was
  // done, a fresh attempt may succeed.
  absl::StatusOr<TableOutcome> TryOnce(const TableEdit& edit,
                                       const Entries& entries);
  // What differed. The lock is taken only if something does.
  absl::StatusOr<OwnedOutcome> ApplyOwnedTable(const OwnedEdit& edit,
                                               const OwnedTable& wanted,
                                               const Patience& patience);
  absl::StatusOr<OwnedOutcome> TryOwnedOnce(const XtOwnedChains& chains);
  absl::StatusOr<size_t> MoveOnce(Family family, Table table,
                                  const CounterMove& move);
  // Takes the lock and calls `attempt` until it says something else than that
  // others have changed the table meanwhile, without the lock.
  template <typename Attempt>
  std::invoke_result_t<Attempt> UnderLock(const Patience& patience,
                                          Attempt attempt);
  // What the handle holds, with the counters' own names.
  TableContents ContentsOf(IptcHandle& handle, Family family, Table table);
  absl::StatusOr<TableContents> ReadFromKernel(Family family, Table table);
  // After a commit, when the caller must learn what is there: goes on past
  // passing errors.
  absl::StatusOr<TableContents> ReadBack(Family family, Table table);

  AcctTable& acct_;
  const Opener open_;
  // Where each call is carried out: libiptc opens its sockets itself.
  const NetworkNamespace network_;
  const std::shared_ptr<const AcctNames> names_;
  IpSetSocket sets_;
  XtablesLockInterrupter lock_interrupter_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_
