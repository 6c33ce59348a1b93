// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_TESTS_UNIT_APP_READ_CONFIG_H_
#define NFMETER_TESTS_UNIT_APP_READ_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "app/config_file.h"
#include "base/status_macros.h"

namespace nfmeter::app {

// The configuration that a file "f" of this text makes.
inline absl::StatusOr<Config> Read(const std::string& text) {
  Config config;
  NFM_RETURN_IF_ERROR(ReadConfigText(text, "f", config));
  return config;
}

}  // namespace nfmeter::app

#endif  // NFMETER_TESTS_UNIT_APP_READ_CONFIG_H_
