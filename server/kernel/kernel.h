// SPDX-License-Identifier: GPL-3.0-or-later
// One network namespace's kernel, as the domain sees it.
#ifndef NFMETER_KERNEL_KERNEL_H_
#define NFMETER_KERNEL_KERNEL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"
#include "kernel/cgroup_tree.h"
#include "kernel/flow_table.h"
#include "kernel/rule_table.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// What the kernel can do for rules, each OK or why it can't.
struct RuleCapabilities {
  // Tables can be read and changed.
  absl::Status tables_ipv4;
  absl::Status tables_ipv6;
  // Rules can count by CountingForm::kMatch, and by kTarget.
  absl::Status match_ipv4;
  absl::Status match_ipv6;
  absl::Status target_ipv4;
  absl::Status target_ipv6;

  const absl::Status& tables(Family family) const {
    return family == Family::kIpv4 ? tables_ipv4 : tables_ipv6;
  }
  const absl::Status& match(Family family) const {
    return family == Family::kIpv4 ? match_ipv4 : match_ipv6;
  }
  const absl::Status& target(Family family) const {
    return family == Family::kIpv4 ? target_ipv4 : target_ipv6;
  }
};

// By which of the kernel's mechanisms counters and rules are kept.
enum class Backend {
  kAuto,      // whichever suits this host
  kIptables,  // nfacct objects and legacy iptables
  kNftables,  // nf_tables alone
};

// What the kernel can do. Values: what a probe has found.
struct Capabilities {
  // Which it is (not kAuto), and why, for people.
  Backend backend = Backend::kIptables;
  std::string choice;
  absl::Status acct;  // accounting objects
  absl::StatusOr<AcctFeatures> features = AcctFeatures();
  absl::Status quotas;  // counters can have some
  absl::Status quota_events;
  absl::Status flows;  // connection tracking
  RuleCapabilities rules;
  // Longest name of a counter.
  size_t counter_name_max_bytes = kAcctNameMaxBytes;
};

// Tells of changes by others until it is destroyed, which waits for a call
// under way.
class RuleChangeWatch {
 public:
  virtual ~RuleChangeWatch() = default;
};

// Counters and rules of one network namespace. What belongs to one mechanism
// alone stays behind this: how a dump is known to be whole, who else has to be
// kept out of the rules and how, in how many steps an edit is carried out.
//
// Thread-safe, and so is acct(); each RuleTable belongs to one lane. Owns what
// it hands out.
class Kernel {
 public:
  virtual ~Kernel() = default;

  virtual AcctTable& acct() = 0;
  // The same objects, for changes of rules: they look for the counters of
  // thousands of rules at once, and nobody who reads acct() waits for that.
  virtual AcctTable& rule_acct() = 0;

  // The rules twice, so that a read need not wait with a change for others;
  // where one object can do both it may be the same.
  virtual RuleTable& rules() = 0;
  virtual RuleTable& rule_reads() = 0;

  // Connection tracking, whose flows count by themselves.
  virtual FlowTable& flows() = 0;

  // The cgroups that rules may name.
  virtual CgroupTree& cgroups() = 0;

  // What the last probe has found; one was made when this was opened. Never
  // null.
  std::shared_ptr<const Capabilities> capabilities() const {
    absl::MutexLock lock(&mutex_);
    return capabilities_;
  }
  // Probes again: modules may be loaded, and unloaded, at any time. Takes
  // milliseconds, or as long as the kernel takes to load modules.
  std::shared_ptr<const Capabilities> Probe() {
    auto found = std::make_shared<const Capabilities>(FindCapabilities());
    absl::MutexLock lock(&mutex_);
    return capabilities_ = std::move(found);
  }

  // Names counters that existed in earlier lives of the server: a kernel that
  // has short names for some of them does not know what those stand for.
  virtual void KnowCounters(absl::Span<const std::string> /*names*/) {}
  // What the kernel's own tools call a counter.
  virtual std::string ToolName(absl::string_view counter) const {
    return std::string(counter);
  }
  // Calls `on_change`, on a thread of its own, soon after another program may
  // have changed rules; not for all changes, and sometimes for none. Null: this
  // backend does not know.
  virtual std::unique_ptr<RuleChangeWatch> WatchRuleChanges(
      std::function<void()> /*on_change*/) {
    return nullptr;
  }

  // What people should know about this host: rules elsewhere that count beside
  // ours, say. Sentences; usually none. Some seconds old at most; does not
  // wait for rules.
  virtual std::vector<std::string> Notices() = 0;

  // Which implementations, for people: "nfnetlink_acct", "legacy iptables
  // (libiptc)".
  virtual absl::string_view acct_backend() const = 0;
  virtual absl::string_view rule_backend() const = 0;

 private:
  virtual Capabilities FindCapabilities() = 0;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Capabilities> capabilities_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<const Capabilities>();
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_KERNEL_H_
