// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/kernel_watch.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "app/capabilities.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

using telemetry::Log;
using telemetry::LogLevel;

void LogChange(const service::NodeCapability& part) {
  if (part.available) {
    Log(LogLevel::kInfo, "kernel part available", {{"part", part.name}});
  } else {
    Log(LogLevel::kWarning, "kernel part missing",
        {{"part", part.name}, {"detail", part.detail}});
  }
}

}  // namespace

void KernelWatch::Start(kernel::Kernel& kernel,
                        std::function<void()> on_change) {
  kernel_ = &kernel;
  on_change_ = std::move(on_change);
  probed_ = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  at_start_ = kernel.capabilities();
}

void KernelWatch::Tick() {
  const absl::Duration since = clock_.BootTime() - probed_;
  if (since >= kInterval || (wanted_ && since >= kLeastInterval)) Probe();
}

void KernelWatch::Probe() {
  wanted_ = false;
  const std::vector<service::NodeCapability> before =
      NodeCapabilities(*kernel_->capabilities());
  const std::vector<service::NodeCapability> after =
      NodeCapabilities(*kernel_->Probe());
  probed_ = clock_.BootTime();
  bool changed = false;
  // The parts are the same ones, in the same order.
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i].available == before[i].available) continue;
    changed = true;
    LogChange(after[i]);
  }
  if (changed) on_change_();
}

std::string KernelWatch::Notice() const {
  std::vector<service::NodeCapability> then;
  {
    absl::MutexLock lock(&mutex_);
    if (at_start_ == nullptr) return "";
    then = NodeCapabilities(*at_start_);
  }
  const std::vector<service::NodeCapability> now =
      NodeCapabilities(*kernel_->capabilities());
  std::vector<std::string> gone;
  for (size_t i = 0; i < now.size(); ++i) {
    if (then[i].available && !now[i].available) gone.push_back(now[i].name);
  }
  if (gone.empty()) return "";
  return absl::StrCat(
      "The kernel has lost parts that it had when this server started: ",
      absl::StrJoin(gone, ", "), "; GetNode's capabilities say what to do.");
}

void KernelWatch::OnCallEnded(const telemetry::CallRecord& record) {
  // Calls that need a missing part fail with this.
  if (absl::IsUnimplemented(record.status)) wanted_ = true;
}

}  // namespace nfmeter::app
