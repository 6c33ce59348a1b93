// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/call.h"

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/utf8.h"

namespace nfmeter::service {
namespace {

constexpr size_t kMaxTargets = 16;
constexpr size_t kMaxTargetBytes = 128;

constexpr char kTraceParent[] = "traceparent";  // W3C Trace Context

}  // namespace

void CallSubject::AddTarget(absl::string_view target) {
  if (target_count++ < kMaxTargets) {
    targets.push_back(ValidUtf8(target.substr(0, kMaxTargetBytes)));
  }
}

std::string DescribeRule(const v1::Rule& rule) {
  std::string text = absl::StrCat(
      rule.counter(), " in ", rule.table().empty() ? "filter" : rule.table(),
      "/", rule.chain());
  if (rule.verdict() != v1::VERDICT_UNSPECIFIED) {
    absl::StrAppend(&text, ": ", v1::Verdict_Name(rule.verdict()));
  }
  if (!rule.id().empty()) absl::StrAppend(&text, ", id ", rule.id());
  return text;
}

CallTrail::CallTrail(absl::Span<telemetry::CallObserver* const> observers,
                     const security::Method& method, bool stream,
                     bool trace_all)
    : observers_(observers),
      record_{.method = method.name,
              .stream = stream,
              .mutates = method.mutates,
              .audited = method.audited()},
      trace_all_(trace_all),
      start_(SystemClock().BootTime()) {
  for (telemetry::CallObserver* observer : observers_) {
    observer->OnCallStarted(record_);
  }
}

void CallTrail::NoteSubject(const CallSubject& subject) {
  record_.request_id = subject.request_id;
  record_.validate_only = subject.validate_only;
  record_.with_rules = subject.with_rules;
  record_.targets = subject.targets;
  record_.target_count = subject.target_count;
}

void CallTrail::NoteOrigin(const grpc::ServerContextBase& context) {
  record_.peer = context.peer();
  const auto found = context.client_metadata().find(kTraceParent);
  if (found != context.client_metadata().end()) {
    record_.trace_parent.assign(found->second.data(), found->second.size());
  }
}

void CallTrail::End(const absl::Status& status) {
  if (caller_ != nullptr) record_.principal = caller_->principal();
  record_.status = status;
  record_.duration = SystemClock().BootTime() - start_;
  for (telemetry::CallObserver* observer : observers_) {
    observer->OnCallEnded(record_);
  }
}

void CallTrail::End(const absl::Status& status,
                    const grpc::ServerContextBase& context) {
  if (record_.audited || trace_all_ || !status.ok()) NoteOrigin(context);
  End(status);
}

}  // namespace nfmeter::service
