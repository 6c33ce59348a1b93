// SPDX-License-Identifier: GPL-3.0-or-later
// Plans from files that somebody else keeps: git, a ConfigMap, an editor.
#ifndef NFMETER_SERVICE_PLAN_FILE_PLANS_H_
#define NFMETER_SERVICE_PLAN_FILE_PLANS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/plans/plans.h"
#include "base/clock.h"
#include "proto/yaml/plan_files.h"
#include "telemetry/call_observer.h"

namespace nfmeter::service {

// The plans of a file or folder, each as far as it can be read without the
// kernel and other plans; else what is wrong with it, lines of
// "FILE:LINE:COLUMN: what". One element if the path can't be read at all.
std::vector<absl::StatusOr<accounting::Plan>> ReadPlansOf(
    const std::string& path);

// All that is wrong in them. OK: nothing.
absl::Status CheckPlanFiles(const std::string& path);

// Applies the plans of a file, or of all files of a folder, and again whenever
// they change. The plans belong to the path ("file:/etc/nfmeter/plans"); one
// whose file has gone is removed, its counters stay. A file that is wrong
// leaves its plan as it was, and nothing is removed meanwhile.
//
// The text is compared, as Kubernetes changes a link and git the file. It is
// taken when it was the same at two looks, so that a half-written file is not
// a plan of its own.
//
// Thread-safe; has a thread of its own (nfm-plan-files). Does not own what it
// is given.
class FilePlans {
 public:
  struct Options {
    std::string path;
    absl::Duration interval = absl::Seconds(1);  // between looks
    // What has failed is tried again after this, twice as late each time.
    absl::Duration first_pause = absl::Seconds(5);
    absl::Duration longest_pause = absl::Minutes(5);
    // How long others may hold the tables.
    absl::Duration lock_timeout = absl::Seconds(60);
    // Is told of each change, as if the path had called for it; may be null.
    std::function<void(const telemetry::CallRecord&)> audit;
  };

  FilePlans(Options options, accounting::Plans& plans, Clock& clock);
  ~FilePlans();

  FilePlans(const FilePlans&) = delete;
  FilePlans& operator=(const FilePlans&) = delete;

  // Begins to look, at once. After Plans::Start().
  void Start();
  // Looks no more; an application that waits for the tables gives up.
  void Stop();

  // What is wrong now, a line each; empty: nothing.
  std::string Problem() const;
  // Looks that took what had changed, as tests wait for them.
  uint64_t rounds() const;

 private:
  using Texts = std::vector<std::pair<std::string, std::string>>;

  void Loop();
  void Look();
  bool OwnsPlans() const;
  bool AreInForce() const;
  // Lines of what is wrong.
  std::vector<std::string> Take(const Texts& texts);
  // A plan that another one of this path keeps from being taken, as it has one
  // of its counters.
  struct Blocked {
    const PlanFile* file;
    absl::Status why;
  };
  // Tries them again; if `replace`, until one has taken the place of those that
  // are in its way. Whether any was taken.
  bool Unblock(std::vector<Blocked>& blocked, bool replace);
  // The plan that is in the way, if it is one of this path that is not as its
  // file says, or has none. Empty: another.
  std::string InTheWay(const absl::Status& why) const;
  absl::Status Apply(const PlanFile& file,
                     std::vector<std::string> replaces = {});
  absl::Status RemoveOthers();
  void Report(const std::vector<std::string>& wrong);
  void Audit(absl::string_view method, const std::string& plan,
             const absl::Status& status) const;
  kernel::Patience Patience() const;
  bool stopping() const;

  const Options options_;
  const std::string owner_;
  accounting::Plans& plans_;
  Clock& clock_;
  const std::unique_ptr<Alarm> alarm_;

  // Of the thread alone. Hashes of all texts: as seen last, and as tried.
  uint64_t seen_ = 0;
  uint64_t tried_ = 0;
  absl::Duration next_try_ = -absl::InfiniteDuration();
  absl::Duration pause_ = absl::ZeroDuration();
  std::map<std::string, std::string> etags_;  // of plans that were applied

  mutable absl::Mutex mutex_;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  uint64_t rounds_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_FILE_PLANS_H_
