// SPDX-License-Identifier: GPL-3.0-or-later
// The YAML file of nfmeterd.
#ifndef NFMETER_APP_CONFIG_FILE_H_
#define NFMETER_APP_CONFIG_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "app/config.h"

namespace nfmeter::app {

// Sets in `config` what `text` says. INVALID_ARGUMENT: everything that is wrong
// with it, one "NAME:LINE:COLUMN: what" a line; `config` is half changed then.
// An empty text is valid.
absl::Status ReadConfigText(const std::string& text, const std::string& name,
                            Config& config);

// The same for the text in a file; INVALID_ARGUMENT also if it can't be read.
absl::Status ReadConfigFile(const std::string& path, Config& config);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CONFIG_FILE_H_
