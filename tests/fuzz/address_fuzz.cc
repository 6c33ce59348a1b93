// SPDX-License-Identifier: GPL-3.0-or-later
// Addresses as people write them.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>

#include "address.h"
#include "kernel/ip_prefix.h"
#include "security/listen/listen_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)nfmeter::client_internal::ParseAddress(text);
  // What is read reads the same when it is written.
  if (const auto read = nfmeter::security::ParseListenAddress(text);
      read.ok()) {
    const auto again = nfmeter::security::ParseListenAddress(read->ToString());
    if (!again.ok() || again->ToString() != read->ToString()) abort();
  }
  if (const auto read = nfmeter::kernel::ParseIpPrefix(text); read.ok()) {
    const std::string written = nfmeter::kernel::FormatIpPrefix(*read);
    const auto again = nfmeter::kernel::ParseIpPrefix(written);
    if (!again.ok() || nfmeter::kernel::FormatIpPrefix(*again) != written) {
      abort();
    }
  }
  return 0;
}
