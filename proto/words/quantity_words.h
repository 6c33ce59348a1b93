// SPDX-License-Identifier: Apache-2.0
// Numbers of packets and bytes as people write them.
#ifndef NFMETER_PROTO_WORDS_QUANTITY_WORDS_H_
#define NFMETER_PROTO_WORDS_QUANTITY_WORDS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nfmeter {

// "1500", "10k", "1.5G" (powers of 1000), "10Ki", "1.5Gi" (powers of 1024).
// INVALID_ARGUMENT with a sentence: anything else, a fraction of one, or more
// than 2^64-1.
absl::StatusOr<uint64_t> ParseCount(absl::string_view text);

// The same, with an optional B at the end: "10MB" is 10,000,000 bytes, "10MiB"
// is 10,485,760.
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text);

}  // namespace nfmeter

#endif  // NFMETER_PROTO_WORDS_QUANTITY_WORDS_H_
