// SPDX-License-Identifier: Apache-2.0
// The command nfmeter-collector.
#ifndef NFMETER_COLLECTOR_COMMAND_H_
#define NFMETER_COLLECTOR_COMMAND_H_

#include <functional>
#include <string>
#include <vector>

namespace nfmeter::collector {

// Runs it; the exit code: 0, 1 for what may go by itself, 2 for what has to be
// mended first (flags, the targets' file, the schema). `wait_for_end` blocks
// until it is to end.
int Main(const std::vector<std::string>& arguments,
         const std::function<void()>& wait_for_end);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_COMMAND_H_
