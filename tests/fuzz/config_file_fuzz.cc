// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd's configuration file.
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "app/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  nfmeter::app::Config config;
  (void)nfmeter::app::ReadConfigText(text, "fuzz.yaml", config);
  return 0;
}
