// SPDX-License-Identifier: Apache-2.0
// Keeps the list of nodes up to date.
#ifndef NFMETER_COLLECTOR_TARGET_WATCH_H_
#define NFMETER_COLLECTOR_TARGET_WATCH_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "collector/targets.h"

namespace nfmeter::collector {

// Reads the file again when it has changed, and asks the DNS again every so
// often; what can't be read or resolved leaves things as they were, with a line
// in the log. Thread-safe.
class TargetWatch {
 public:
  struct Options {
    std::string path;
    absl::Duration look_every = absl::Seconds(1);       // at the file
    absl::Duration discover_every = absl::Seconds(30);  // by the DNS
  };

  // Calls `on_targets` with the nodes that `file`, just read, stands for,
  // before it returns, and after that on a thread of its own whenever they are
  // others.
  TargetWatch(Options options, TargetsFile file,
              std::function<void(std::vector<Target>)> on_targets);
  ~TargetWatch();
  TargetWatch(const TargetWatch&) = delete;
  TargetWatch& operator=(const TargetWatch&) = delete;

 private:
  void Loop();
  void ReadAgain();
  void Resolve();
  void Tell();

  const Options options_;
  const std::function<void(std::vector<Target>)> on_targets_;

  // On the thread.
  TargetsFile file_;
  std::string text_;  // as it was read last; at first none, so that no change
                      // since is missed
  int looks_in_vain_ = 0;
  std::vector<std::vector<Target>> discovered_;  // as file_.discover
  std::vector<absl::Status> failures_;           // likewise
  std::vector<Target> told_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_TARGET_WATCH_H_
