// SPDX-License-Identifier: GPL-3.0-or-later
// Those who wait for the ledger's next record.
#ifndef NFMETER_ACCOUNTING_LEDGER_RECORD_LISTENERS_H_
#define NFMETER_ACCOUNTING_LEDGER_RECORD_LISTENERS_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::accounting {

// Thread-safe. Must outlive all subscriptions.
class RecordListeners {
 public:
  // Ends when it is destroyed, which waits for a call under way: not inside
  // `on_record`.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  std::unique_ptr<Subscription> Subscribe(std::function<void()> on_record);

  // Calls all, on this thread.
  void Tell();

 private:
  class Listener;
  class Handle;

  absl::Mutex mutex_;
  std::vector<std::shared_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_RECORD_LISTENERS_H_
