// SPDX-License-Identifier: GPL-3.0-or-later
// One table as libiptc holds it, the same for both families.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_HANDLE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_HANDLE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

struct IptcChain {
  absl::string_view name;  // lives as long as the handle is not changed
  bool builtin = false;
  std::string policy;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint32_t references = 0;
};

struct IptcRule {
  absl::Span<const uint8_t> entry;
  absl::string_view target;  // chain of a jump; empty: none
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// A copy of a table, read from the kernel when it is opened, that can be
// changed and committed once. Everything that is not changed is committed as it
// was, counters included.
//
// Not thread-safe, nor are two handles of one family: libiptc has static state.
class IptcHandle {
 public:
  // Reads the table in the network namespace of the calling thread.
  // Statuses of Operation::kRuleRead.
  static absl::StatusOr<std::unique_ptr<IptcHandle>> Open(Family family,
                                                          Table table);
  virtual ~IptcHandle() = default;

  // Built-in chains first, then user chains by name.
  virtual void ForEachChain(
      absl::FunctionRef<void(const IptcChain&)> on_chain) = 0;
  virtual void ForEachRule(
      absl::string_view chain,
      absl::FunctionRef<void(const IptcRule&)> on_rule) = 0;

  // These return 0 or an errno. `entry` is a whole ipt_entry or ip6t_entry; its
  // counters are where the new rule's start. `position` counts from 1; one
  // behind the last rule appends. Near either end inserting and deleting take
  // constant time.
  virtual int Insert(const std::string& chain, uint32_t position,
                     const uint8_t* entry) = 0;
  virtual int Append(const std::string& chain, const uint8_t* entry) = 0;
  virtual int Delete(const std::string& chain, uint32_t position) = 0;

  // Makes an empty chain; removes one that has no rules and no references.
  virtual int CreateChain(const std::string& chain) = 0;
  virtual int DeleteChain(const std::string& chain) = 0;
  // Deletes all rules of a chain.
  virtual int Flush(const std::string& chain) = 0;

  // Replaces the kernel's table, then adds the counters to it. An errno may
  // come from either half: read back to know. The handle is of no use any more.
  virtual int Commit() = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_HANDLE_H_
