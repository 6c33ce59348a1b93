// SPDX-License-Identifier: GPL-3.0-or-later
// Rules as the kernel hands them out. The first byte chooses the family and
// what libiptc says of the target.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/linux/xtables/xt_fingerprint.h"
#include "tests/unit/kernel/xt_rules.h"

namespace nfmeter::kernel {
namespace {

constexpr const char* kTargets[] = {"",    "ACCEPT", "DROP",   "RETURN",
                                    "LOG", "NFACCT", "a-chain"};

// What we can say, we can write; and reading that says the same.
void CheckRoundTrip(Family family, const DecodedEntry& read) {
  if (read.id.empty() || read.counter.empty() || !read.other_matches.empty() ||
      !read.other_counters.empty() || read.verdict == Verdict::kOther) {
    return;
  }
  testing::TwoSets sets;
  const RuleSpec spec = {.id = read.id,
                         .match = read.match,
                         .counter = read.counter,
                         .verdict = read.verdict,
                         .form = read.form};
  const auto written = EncodeEntry(family, spec, sets);
  if (!written.ok()) return;
  const auto again = DecodeEntry(family, *written, "", sets);
  if (!again.ok() || again->match != read.match ||
      again->counter != read.counter || again->id != read.id) {
    const std::string text =
        again.ok() ? again->match_text : again.status().ToString();
    fprintf(stderr, "read:    %s\nwritten: %s\n", read.match_text.c_str(),
            text.c_str());
    abort();
  }
}

}  // namespace
}  // namespace nfmeter::kernel

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nfmeter::kernel;  // NOLINT: one function
  if (size == 0) return 0;
  const Family family = data[0] % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
  const char* const target = kTargets[data[0] / 2 % std::size(kTargets)];
  nfmeter::testing::TwoSets sets;
  // A block of its own, aligned as libiptc's are.
  const std::vector<uint8_t> entry(data + 1, data + size);
  FingerprintOfEntries(family, entry);
  const auto read = DecodeEntry(family, entry, target, sets);
  if (read.ok()) CheckRoundTrip(family, *read);
  return 0;
}
