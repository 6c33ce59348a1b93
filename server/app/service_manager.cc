// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/service_manager.h"

#include <systemd/sd-daemon.h>

#include "absl/strings/str_cat.h"

namespace nfmeter::app {

void NotifyReady(absl::string_view status) {
  sd_notify(0, absl::StrCat("READY=1\nSTATUS=", status).c_str());
}

void NotifyStopping(absl::string_view status) {
  sd_notify(0, absl::StrCat("STOPPING=1\nSTATUS=", status).c_str());
}

absl::Duration WatchdogInterval() {
  uint64_t microseconds = 0;
  return sd_watchdog_enabled(0, &microseconds) > 0
             ? absl::Microseconds(microseconds)
             : absl::InfiniteDuration();
}

void FeedWatchdog() { sd_notify(0, "WATCHDOG=1"); }

}  // namespace nfmeter::app
