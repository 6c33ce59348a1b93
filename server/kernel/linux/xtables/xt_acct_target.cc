// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_acct_target.h"

#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netfilter/x_tables.h>
#include <string.h>

#include "kernel/acct_names.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {

static_assert(kAcctTargetNameBytes == NFACCT_NAME_MAX);
static_assert(sizeof(XtAcctTargetInfo) == XT_ALIGN(NFACCT_NAME_MAX + 8));

absl::Status AppendAcctTarget(const RuleSpec& rule,
                              std::vector<uint8_t>& bytes) {
  if (rule.verdict != Verdict::kContinue) {
    return NotExpressible(
        "the NFACCT target counts and goes on; for another verdict count by "
        "the match");
  }
  XtAcctTargetInfo info{};
  if (!IsAcctName(rule.counter)) return NotACounter();
  const std::string counter = NfacctName(rule.counter);
  memcpy(info.name, counter.data(), counter.size());
  AppendTarget(kAcctTarget, 0, info, bytes);
  return absl::OkStatus();
}

bool DecodeAcctTarget(const MatchContext&, const XtAcctTargetInfo& info,
                      DecodedEntry& out) {
  std::string counter = AcctNameOf(info.name);
  out.verdict = Verdict::kContinue;
  if (out.counter.empty()) {
    out.counter = std::move(counter);
    out.form = CountingForm::kTarget;
  } else {
    out.other_counters.push_back(std::move(counter));
  }
  return true;
}

void PrintAcctTarget(const MatchContext&, const XtAcctTargetInfo& info,
                     std::string& text) {
  text.append(" --nfacct-name");
  AppendQuoted(TextOf(info.name), text);
}

}  // namespace nfmeter::kernel
