// SPDX-License-Identifier: GPL-3.0-or-later
// What several users of accounting objects need of them.
#ifndef NFMETER_KERNEL_ACCT_OBJECTS_H_
#define NFMETER_KERNEL_ACCT_OBJECTS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "kernel/acct_table.h"

namespace nfmeter::kernel {

// A record of a dump as a value.
AcctObject ObjectOf(const AcctRecord& record);

std::vector<std::string> NamesOf(absl::Span<const AcctObject> objects);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_ACCT_OBJECTS_H_
