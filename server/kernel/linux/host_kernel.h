// SPDX-License-Identifier: GPL-3.0-or-later
// Which kernel this host has for us.
#ifndef NFMETER_KERNEL_LINUX_HOST_KERNEL_H_
#define NFMETER_KERNEL_LINUX_HOST_KERNEL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kernel/kernel.h"

namespace nfmeter::kernel {

struct HostKernelOptions {
  Backend backend = Backend::kAuto;
  bool read_only = false;  // nothing will be changed
};

// Opens the network namespace of the calling thread by the backend that is
// wanted. kAuto takes nf_tables where its table holds counters or rules
// already; else nfacct with legacy iptables where both work or nfacct holds
// counters; else nf_tables where that works.
//
// A part that is missing is no error, the probe says so; but PERMISSION_DENIED:
// not even counters may be read. FAILED_PRECONDITION, for nf_tables:
// NFT_TABLE_FOREIGN, NFT_TABLE_OWNED.
absl::StatusOr<std::unique_ptr<Kernel>> OpenHostKernel(
    const HostKernelOptions& options, Clock& clock);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_HOST_KERNEL_H_
