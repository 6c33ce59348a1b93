// SPDX-License-Identifier: GPL-3.0-or-later
// What systemd wants to know of a service (sd_notify(3)).
#ifndef NFMETER_APP_SERVICE_MANAGER_H_
#define NFMETER_APP_SERVICE_MANAGER_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter::app {

// Each does nothing when no service manager listens ($NOTIFY_SOCKET).

// The server serves; `status` is one line for systemctl status.
void NotifyReady(absl::string_view status);
void NotifyStopping(absl::string_view status);

// How often the manager wants to hear of the server at least ($WATCHDOG_USEC);
// infinite: it does not.
absl::Duration WatchdogInterval();
void FeedWatchdog();

}  // namespace nfmeter::app

#endif  // NFMETER_APP_SERVICE_MANAGER_H_
