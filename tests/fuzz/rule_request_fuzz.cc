// SPDX-License-Identifier: GPL-3.0-or-later
// Requests for new rules, down to the bytes for the kernel.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernel/linux/xtables/xt_codec.h"
#include "service/rule/validate_rule.h"
#include "tests/unit/kernel/xt_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nfmeter::v1::BatchCreateRulesRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return 0;
  nfmeter::service::FieldErrors errors;
  const auto rules = nfmeter::service::ReadNewRules(request.rules(), errors);
  if (!errors.empty()) {
    if (errors.ToStatus().ok()) abort();
    return 0;
  }
  // What was found valid can be written, unless a set is missing; what was
  // written can be read.
  nfmeter::testing::TwoSets sets;
  for (const auto& rule : rules) {
    const auto entry =
        nfmeter::kernel::EncodeEntry(rule.family, rule.spec, sets);
    if (!entry.ok()) continue;
    if (!nfmeter::kernel::DecodeEntry(rule.family, *entry, "", sets).ok()) {
      abort();
    }
  }
  return 0;
}
