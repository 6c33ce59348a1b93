// SPDX-License-Identifier: GPL-3.0-or-later
// The other users of a host's iptables.
#ifndef NFMETER_TESTS_FAULT_IPTABLES_H_
#define NFMETER_TESTS_FAULT_IPTABLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter::testing {

// Runs iptables-legacy, which waits for the lock, with these arguments.
absl::Status Iptables(const std::string& arguments);

// Loads a table as iptables-legacy-restore -c reads it: counters too.
absl::Status RestoreIptables(const std::string& text);

// Sends `count` UDP packets of 100 bytes over lo to 127.0.0.1, ports
// `first_port` and following in turn. Each has passed the OUTPUT chains when
// this returns.
absl::Status SendPackets(size_t count, uint16_t first_port, size_t ports);
inline constexpr size_t kPacketBytes = 128;  // with headers

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_IPTABLES_H_
