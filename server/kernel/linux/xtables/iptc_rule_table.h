// Legacy iptables through libiptc.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernel/linux/xtables/ip_set_socket.h"
#include "kernel/linux/xtables/iptc_rule_table_handle.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// Make one, use it and destroy it in one thread: libiptc opens its socket in
// the network namespace of the calling thread and keeps static state, so there
// is at most one in use in a process at a time.
//
// Between two calls it holds nothing but a socket for ipset names: every Read()
// and Edit() starts from the kernel's table as it is then.
class IptcRuleTable : public RuleTable {
 public:
  // How tables are opened; tests put something between us and libiptc.
  using Opener = std::function<absl::StatusOr<std::unique_ptr<IptcHandle>>(
      Family family, Table table)>;

  explicit IptcRuleTable(Opener open = IptcHandle::Open)
      : open_(std::move(open)) {}

  // Has the kernel load what it lacks, if it may.
  absl::Status ProbeTables(Family family) override;
  absl::Status ProbeMatch(Family family) override;
  absl::Status ProbeTarget(Family family) override;
  absl::string_view BackendName() const override;
  std::vector<std::string> Notices() override;

  // A table that nobody has used so far is answered without touching it, as
  // reading would bring it into being (see TableIsInUse()). The filter table
  // always exists for those who have rules at all.
  absl::StatusOr<TableContents> Read(Family family, Table table) override;

  absl::StatusOr<EditOutcome> Edit(const TableEdit& edit,
                                   const Patience& patience) override;

  void StopWaiting() override { lock_interrupter_.Interrupt(); }

 private:
  using Entries = std::vector<std::vector<uint8_t>>;

  absl::StatusOr<Entries> Encode(const TableEdit& edit);
  absl::StatusOr<EditOutcome> DryRun(const TableEdit& edit,
                                     const Entries& entries);
  // One read, one commit, one read. UNAVAILABLE, TABLE_CHANGED: nothing was
  // done, a fresh attempt may succeed.
  absl::StatusOr<EditOutcome> TryOnce(const TableEdit& edit,
                                      const Entries& entries);
  absl::StatusOr<TableContents> ReadFromKernel(Family family, Table table);
  // After a commit, when the caller must learn what is there: goes on past
  // passing errors.
  absl::StatusOr<TableContents> ReadBack(Family family, Table table);

  const Opener open_;
  IpSetSocket sets_;
  XtablesLockInterrupter lock_interrupter_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_H_
