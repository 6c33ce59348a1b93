// SPDX-License-Identifier: GPL-3.0-or-later
// Who changed what, and who was refused.
#ifndef NFMETER_TELEMETRY_AUDIT_LOG_H_
#define NFMETER_TELEMETRY_AUDIT_LOG_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "telemetry/call_observer.h"
#include "telemetry/line_limit.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// One JSON object a line for each call that changes something or shows flows,
// whatever came of it, and for each that was refused for who the caller is or
// how often it calls.
//
// A line is one write(2) at the end of the file, before the caller has its
// answer: a queue would be faster, but what a server did just before it was
// killed is what an audit log is read for. It costs some microseconds, on calls
// that take far longer; refusals, which are cheap to cause, are written up to
// kMaxRefusalsPerSecond, and the next line says how many were left out.
// Thread-safe.
class AuditLog final : public CallObserver {
 public:
  static constexpr int kMaxRefusalsPerSecond = 100;

  // `path` empty: lines go to the log.
  explicit AuditLog(std::string path, Clock& clock = SystemClock());

  // Opens the file, or makes it. FAILED_PRECONDITION, AUDIT_FILE.
  absl::Status Open();

  // CallObserver:
  void OnCallEnded(const CallRecord& record) override;

  void WriteMetrics(MetricsText& text) const;

  // Opens the file anew: somebody has moved it away. It is noticed without
  // this, too, at the next line.
  void Reopen();

  // Lines that could not be written, since the start.
  uint64_t lost() const { return lost_.load(); }

 private:
  class File;

  void Write(const std::string& line);
  std::shared_ptr<File> CurrentFile();
  void NoteFailure(int error);

  const std::string path_;
  Clock& clock_;
  std::atomic<uint64_t> lost_ = 0;

  LineLimit refusals_{kMaxRefusalsPerSecond, absl::Seconds(1), clock_};

  absl::Mutex mutex_;
  std::shared_ptr<File> file_ ABSL_GUARDED_BY(mutex_);
  bool failing_ ABSL_GUARDED_BY(mutex_) = false;
};

// The line of a call, without its end. `left_out`: refusals before it that have
// none.
std::string FormatAuditLine(const CallRecord& record, absl::Time time,
                            int64_t left_out);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_AUDIT_LOG_H_
