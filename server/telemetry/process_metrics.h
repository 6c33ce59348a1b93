// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel says of this process.
#ifndef NFMETER_TELEMETRY_PROCESS_METRICS_H_
#define NFMETER_TELEMETRY_PROCESS_METRICS_H_

#include <dirent.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// The process_* metrics that Prometheus' libraries have in common. Opens what
// it reads in /proc when it is made, so that it works on after the process has
// shut itself in. Thread-safe.
class ProcessMetrics {
 public:
  ProcessMetrics();
  ~ProcessMetrics();
  ProcessMetrics(const ProcessMetrics&) = delete;
  ProcessMetrics& operator=(const ProcessMetrics&) = delete;

  // Leaves out what can't be read.
  void WriteMetrics(MetricsText& text) const;

 private:
  // -1: unreadable.
  int CountDescriptors() const;

  const UniqueFd stat_;
  mutable absl::Mutex mutex_;
  DIR* const descriptors_ ABSL_PT_GUARDED_BY(mutex_);
  double boot_time_ = 0;  // Unix seconds
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_PROCESS_METRICS_H_
