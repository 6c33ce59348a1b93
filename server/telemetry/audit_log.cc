// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace nfmeter::telemetry {
namespace {

constexpr mode_t kMode = 0640;

bool IsRefusal(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kPermissionDenied ||
      status.code() == absl::StatusCode::kUnauthenticated) {
    return true;
  }
  if (status.code() != absl::StatusCode::kResourceExhausted) return false;
  const std::string reason = GetErrorDetails(status).reason;
  return reason == "RATE_LIMITED" || reason == "TOO_MANY_STREAMS";
}

// Errors without a reason have the name of their code, as on the wire.
std::string ReasonOf(const absl::Status& status) {
  if (status.ok()) return "";
  std::string reason = GetErrorDetails(status).reason;
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", EscapeForLog(text), "\"");
}

void AddText(absl::string_view key, absl::string_view value,
             std::string* line) {
  absl::StrAppend(line, ",\"", key, "\":", Quoted(value));
}

// gRPC writes "ipv6:%5B::1%5D:80".
std::string ShownPeer(absl::string_view peer) {
  return absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}});
}

// Invalid: errno says why. Does not wait for a reader where somebody has
// put a pipe.
UniqueFd OpenForAppending(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  UniqueFd made(open(path.c_str(), kFlags | O_CREAT | O_EXCL, kMode));
  if (made.valid()) {
    fchmod(made.get(), kMode);  // whatever the process's mask is
    return made;
  }
  if (errno != EEXIST) return made;
  return UniqueFd(open(path.c_str(), kFlags | O_CREAT, kMode));
}

}  // namespace

// An open file. Closed once no thread writes a line to it any more.
class AuditLog::File {
 public:
  explicit File(const std::string& path)
      : fd_(OpenForAppending(path)), error_(fd_.valid() ? 0 : errno) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Why the file could not be opened; 0 if it is open.
  int error() const { return error_; }

  // Whether it is what stands at `path`.
  bool IsAt(const std::string& path) const {
    struct stat here {};
    struct stat there {};
    return fstat(fd_.get(), &here) == 0 && stat(path.c_str(), &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
  }

  // 0, or why the line was not written in full. The next line then begins with
  // a newline.
  int Write(absl::string_view line) {
    const bool torn = torn_.exchange(false);
    const std::string bytes = absl::StrCat(torn ? "\n" : "", line);
    const ssize_t written = write(fd_.get(), bytes.data(), bytes.size());
    const int error = written < 0 ? errno : ENOSPC;
    if (written == static_cast<ssize_t>(bytes.size())) return 0;
    if (torn || written > 0) torn_ = true;
    return error;
  }

 private:
  const UniqueFd fd_;
  const int error_;
  std::atomic<bool> torn_ = false;
};

AuditLog::AuditLog(std::string path, Clock& clock)
    : path_(std::move(path)), clock_(clock) {}

absl::Status AuditLog::Open() {
  if (path_.empty()) return absl::OkStatus();
  if (const int error = CurrentFile()->error(); error != 0) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "AUDIT_FILE",
        absl::StrCat("audit.file ", path_,
                     " cannot be written: ", strerror(error),
                     "; make its folder, give nfmeterd access, or name "
                     "another"));
  }
  return absl::OkStatus();
}

void AuditLog::OnCallEnded(const CallRecord& record) {
  int64_t left_out = 0;
  if (IsRefusal(record.status)) {
    const std::optional<int64_t> before = refusals_.Take();
    if (!before.has_value()) return;
    left_out = *before;
  } else if (!record.mutates && !record.audited) {
    return;
  }
  if (path_.empty()) {
    const TraceContext trace = ParseTraceParent(record.trace_parent);
    Log(LogLevel::kInfo, "audit",
        {{"principal", record.principal},
         {"peer", ShownPeer(record.peer)},
         {"method", record.method},
         {"targets", absl::StrJoin(record.targets, " ")},
         {"target_count", record.target_count},
         {"request_id", record.request_id},
         {"validate_only", record.validate_only ? "true" : "false"},
         {"with_rules", record.with_rules ? "true" : "false"},
         {"code", absl::StatusCodeToString(record.status.code())},
         {"reason", ReasonOf(record.status)},
         {"duration_ms",
          absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(record.duration))},
         {"trace_id", trace.trace_id},
         {"span_id", trace.span_id},
         {"refusals_left_out", left_out}});
    return;
  }
  Write(
      absl::StrCat(FormatAuditLine(record, clock_.WallTime(), left_out), "\n"));
}

void AuditLog::WriteMetrics(MetricsText& text) const {
  text.Counter("nfmeter_audit_lines_lost_total",
               "Lines that could not be written to the audit log.", lost());
}

void AuditLog::Reopen() {
  if (path_.empty()) return;
  absl::MutexLock lock(&mutex_);
  file_ = nullptr;
}

std::shared_ptr<AuditLog::File> AuditLog::CurrentFile() {
  std::shared_ptr<File> file;
  {
    absl::MutexLock lock(&mutex_);
    file = file_;
  }
  if (file != nullptr && file->error() == 0 && file->IsAt(path_)) return file;
  file = std::make_shared<File>(path_);
  absl::MutexLock lock(&mutex_);
  file_ = file;
  return file;
}

void AuditLog::Write(const std::string& line) {
  const std::shared_ptr<File> file = CurrentFile();
  int error = file->error();
  if (error == 0) error = file->Write(line);
  if (error != 0) ++lost_;
  NoteFailure(error);
}

// One line of the log when it begins, and one when it is over.
void AuditLog::NoteFailure(int error) {
  {
    absl::MutexLock lock(&mutex_);
    if (failing_ == (error != 0)) return;
    failing_ = error != 0;
  }
  if (error != 0) {
    Log(LogLevel::kError, "audit lines are lost",
        {{"file", path_}, {"error", strerror(error)}});
  } else {
    Log(LogLevel::kInfo, "audit lines are written again",
        {{"file", path_}, {"lost", lost()}});
  }
}

std::string FormatAuditLine(const CallRecord& record, absl::Time time,
                            int64_t left_out) {
  std::string line = absl::StrCat(
      "{\"time\":\"",
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()),
      "\"");
  AddText("principal", record.principal, &line);
  AddText("peer", ShownPeer(record.peer), &line);
  AddText("method", record.method, &line);
  absl::StrAppend(&line, ",\"targets\":[",
                  absl::StrJoin(record.targets, ",",
                                [](std::string* out, const std::string& each) {
                                  out->append(Quoted(each));
                                }),
                  "],\"target_count\":", record.target_count);
  if (!record.request_id.empty()) {
    AddText("request_id", record.request_id, &line);
  }
  if (record.validate_only) line.append(",\"validate_only\":true");
  if (record.with_rules) line.append(",\"with_rules\":true");
  AddText("code",
          record.status.ok() ? "OK"
                             : absl::StatusCodeToString(record.status.code()),
          &line);
  if (!record.status.ok()) AddText("reason", ReasonOf(record.status), &line);
  absl::StrAppendFormat(&line, ",\"duration_ms\":%.3f",
                        absl::ToDoubleMilliseconds(record.duration));
  const TraceContext trace = ParseTraceParent(record.trace_parent);
  if (!trace.trace_id.empty()) {
    AddText("trace_id", trace.trace_id, &line);
    AddText("span_id", trace.span_id, &line);
  }
  if (left_out > 0) {
    absl::StrAppend(&line, ",\"refusals_left_out\":", left_out);
  }
  return line + "}";
}

}  // namespace nfmeter::telemetry
