// The kernel of this host, opened and probed.
#ifndef NFMETER_APP_HOST_KERNEL_H_
#define NFMETER_APP_HOST_KERNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/common/lane.h"
#include "accounting/rules/rules.h"
#include "base/clock.h"
#include "kernel/acct_table.h"
#include "kernel/rule_table.h"

namespace nfmeter::app {

// What the probes said, each OK or why that part can't be used.
struct KernelParts {
  absl::Status nfacct;
  absl::StatusOr<kernel::AcctFeatures> features = kernel::AcctFeatures();
  absl::Status quota_events;
  accounting::RuleCapabilities rules;
};

// Owns the tables. There are two of rules, one for changes and one for reads,
// so that a read need not wait with a change for the xtables lock; each lives
// on a lane of its own, which must outlive this. (What libiptc knows belongs to
// a handle; its one global is the text of iptc_strerror, which we do not use.)
// Thread-safe.
class HostKernel {
 public:
  // Opens the network namespace of the calling thread, and probes all parts. A
  // part that is missing is no error; PERMISSION_DENIED: not even nfacct
  // objects may be read.
  static absl::StatusOr<std::unique_ptr<HostKernel>> Open(
      accounting::Lane& rule_lane, accounting::Lane& rule_read_lane,
      Clock& clock);
  ~HostKernel();

  HostKernel(const HostKernel&) = delete;
  HostKernel& operator=(const HostKernel&) = delete;

  kernel::AcctTable& acct() { return *acct_; }
  // The same objects, by sockets of its own: changes of rules, which look for
  // the counters of thousands of rules at once, then keep nobody waiting.
  kernel::AcctTable& rule_acct() { return *rule_acct_; }
  kernel::RuleTable& rules() { return *rules_; }
  kernel::RuleTable& rule_reads() { return *rule_reads_; }
  const KernelParts& parts() const { return parts_; }

  // See kernel::RuleTable::Notices(). Some seconds old at most, or older while
  // rules are being read; never waits for that.
  std::vector<std::string> Notices();

 private:
  HostKernel(accounting::Lane& rule_lane, accounting::Lane& rule_read_lane,
             Clock& clock)
      : rule_lane_(rule_lane), rule_read_lane_(rule_read_lane), clock_(clock) {}

  void ProbeRules();      // on the rule lane
  void RefreshNotices();  // on the lane of reads

  accounting::Lane& rule_lane_;
  accounting::Lane& rule_read_lane_;
  Clock& clock_;
  std::unique_ptr<kernel::AcctTable> acct_;
  std::unique_ptr<kernel::AcctTable> rule_acct_;
  std::unique_ptr<kernel::RuleTable> rules_;
  std::unique_ptr<kernel::RuleTable> rule_reads_;
  KernelParts parts_;
  absl::Mutex mutex_;
  std::vector<std::string> notices_ ABSL_GUARDED_BY(mutex_);
  absl::Duration notices_read_ ABSL_GUARDED_BY(mutex_);
  bool refreshing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_HOST_KERNEL_H_
