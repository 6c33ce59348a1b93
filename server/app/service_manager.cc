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

}  // namespace nfmeter::app
