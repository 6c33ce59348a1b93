// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/conntrack_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

constexpr char kFolder[] = "/proc/sys/net/netfilter/";

UniqueFd OpenSetting(const char* name, int mode = O_RDONLY) {
  return UniqueFd(open(absl::StrCat(kFolder, name).c_str(), mode | O_CLOEXEC));
}

absl::Status TurnOn(const char* name) {
  const UniqueFd setting = OpenSetting(name, O_WRONLY);
  if (setting.valid() && write(setting.get(), "1\n", 2) == 2) {
    return absl::OkStatus();
  }
  return ErrnoStatus(Operation::kConntrackSettings, errno,
                     absl::StrCat(kFolder, name));
}

}  // namespace

ConntrackSettings::ConntrackSettings()
    : accounting_(OpenSetting("nf_conntrack_acct")),
      timestamps_(OpenSetting("nf_conntrack_timestamp")),
      events_(OpenSetting("nf_conntrack_events")),
      flows_(OpenSetting("nf_conntrack_count")),
      max_flows_(OpenSetting("nf_conntrack_max")),
      buckets_(OpenSetting("nf_conntrack_buckets")) {}

absl::StatusOr<FlowTracking> ConntrackSettings::Read() const {
  if (!flows_.valid()) {
    return ErrnoStatus(Operation::kConntrackSettings, ENOENT,
                       "/proc/sys/net/netfilter");
  }
  return FlowTracking{.accounting = Number(accounting_) != 0,
                      .timestamps = Number(timestamps_) != 0,
                      .events = static_cast<int>(Number(events_)),
                      .flows = Number(flows_),
                      .max_flows = Number(max_flows_),
                      .buckets = Number(buckets_)};
}

uint32_t ConntrackSettings::Buckets() const { return Number(buckets_); }

absl::Status ConntrackSettings::EnableAccounting() const {
  if (!accounting_.valid()) {
    return ErrnoStatus(Operation::kConntrackSettings, ENOENT,
                       "/proc/sys/net/netfilter");
  }
  NFM_RETURN_IF_ERROR(TurnOn("nf_conntrack_acct"));
  // Left out of kernels built without NF_CONNTRACK_TIMESTAMP.
  if (!timestamps_.valid()) return absl::OkStatus();
  return TurnOn("nf_conntrack_timestamp");
}

uint32_t ConntrackSettings::Number(const UniqueFd& setting) {
  char text[16];
  const ssize_t size =
      setting.valid() ? pread(setting.get(), text, sizeof(text), 0) : -1;
  uint32_t value = 0;
  const bool read =
      size > 0 && absl::SimpleAtoi(absl::StripAsciiWhitespace(absl::string_view(
                                       text, static_cast<size_t>(size))),
                                   &value);
  return read ? value : 0;
}

}  // namespace nfmeter::kernel
