// SPDX-License-Identifier: Apache-2.0
// Numbers as people write and read them.
#ifndef NFMETER_CLI_QUANTITY_H_
#define NFMETER_CLI_QUANTITY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter::cli {

// "1s", "250ms", "1m30s"; a bare number is seconds. Must be above 0.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// Up to 99,999 as it is, above with three or more digits and k, M, G, T, P, E:
// "123k", "1.23M".
std::string FormatCount(uint64_t count);

// "812 B", "1.21 KiB", "10.0 GiB".
std::string FormatBytes(uint64_t bytes);

// Per second; as above with "/s": "0.50/s", "1.2k/s", "3.40 MiB/s".
std::string FormatRate(double per_second);
std::string FormatByteRate(double bytes_per_second);
// By powers of 1000: "812 bit/s", "3.40 Mbit/s".
std::string FormatBitRate(double bits_per_second);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_QUANTITY_H_
