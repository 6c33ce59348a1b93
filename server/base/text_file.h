// SPDX-License-Identifier: GPL-3.0-or-later
// Reading the files that people give us.
#ifndef NFMETER_BASE_TEXT_FILE_H_
#define NFMETER_BASE_TEXT_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace nfmeter {

// The text of a file of at most 4 MiB, or what comes out of a pipe: a writer
// that sends nothing for a second is not waited for. INVALID_ARGUMENT: "PATH:
// cannot be read: why", and what to do.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace nfmeter

#endif  // NFMETER_BASE_TEXT_FILE_H_
