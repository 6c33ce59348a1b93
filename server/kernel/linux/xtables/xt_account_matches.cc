// SPDX-License-Identifier: GPL-3.0-or-later
// comment and nfacct: what marks a rule as ours, and what counts.
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_nfacct.h>

#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"
#include "kernel/rule_law.h"
#include "kernel/rule_mark.h"

namespace nfmeter::kernel {
namespace {

// iptables keeps the last byte for the NUL.
absl::string_view CommentOf(const xt_comment_info& info) {
  return TextOf(info.comment).substr(0, XT_MAX_COMMENT_LEN - 1);
}

void PrintComment(const MatchContext&, const xt_comment_info& info,
                  std::string& text) {
  text.append(" --comment");
  AppendQuoted(CommentOf(info), text);
}

bool DecodeComment(const MatchContext&, const xt_comment_info& info,
                   DecodedEntry& out) {
  if (!out.id.empty() || !out.match.comment.empty()) return false;
  const absl::string_view comment = CommentOf(info);
  if (const std::optional<ParsedRuleMark> mark = ParseRuleMark(comment)) {
    out.id = std::string(mark->id);
    out.match.comment = std::string(mark->comment);
  } else {
    out.match.comment = std::string(comment);
  }
  return true;
}

// Both revisions are alike but for the alignment of the kernel's pointer,
// which is not ours to look at.
template <typename Info>
void PrintAccount(const MatchContext&, const Info& info, std::string& text) {
  text.append(" --nfacct-name ");
  AppendQuoted(TextOf(info.name), text);
}

template <typename Info>
bool DecodeAccount(const MatchContext&, const Info& info, DecodedEntry& out) {
  if (!out.counter.empty()) {
    out.other_counters.push_back(AcctNameOf(info.name));
    return false;
  }
  out.counter = AcctNameOf(info.name);
  return true;
}

absl::Status AppendComment(absl::string_view text, MatchWriter& out) {
  xt_comment_info comment{};
  if (text.size() >= sizeof(comment.comment) ||
      text.find('\0') != absl::string_view::npos) {
    return NotExpressible(absl::StrCat(
        "the comment and the rule's id together are ", text.size(),
        " bytes; the kernel keeps ", XT_MAX_COMMENT_LEN - 1, " and no NUL"));
  }
  memcpy(comment.comment, text.data(), text.size());
  out.Append("comment", 0, comment);
  return absl::OkStatus();
}

absl::Status AppendCounter(absl::string_view counter, MatchWriter& out) {
  xt_nfacct_match_info_v1 account{};
  if (!IsAcctName(counter)) return NotACounter();
  const std::string name = NfacctName(counter);
  memcpy(account.name, name.data(), name.size());
  out.Append(kAcctMatch, kAcctMatchRevision, account);
  return absl::OkStatus();
}

}  // namespace

absl::Span<const ExtensionKind> AccountMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintComment, DecodeComment>("comment", 0),
      KnownKind<PrintAccount<xt_nfacct_match_info>,
                DecodeAccount<xt_nfacct_match_info>>("nfacct", 0),
      KnownKind<PrintAccount<xt_nfacct_match_info_v1>,
                DecodeAccount<xt_nfacct_match_info_v1>>("nfacct", 1),
  };
  return kKinds;
}

absl::Status AppendAccountMatches(const MatchContext&, const RuleSpec& rule,
                                  MatchWriter& out) {
  if (!IsRuleId(rule.id)) {
    return NotExpressible(absl::StrCat("a rule's id is 1 to ", kRuleIdMaxBytes,
                                       " of a-z, 0-9 and '-'"));
  }
  NFM_RETURN_IF_ERROR(
      AppendComment(RuleMark(rule.id, rule.match.comment), out));
  if (rule.counter.empty() || rule.form == CountingForm::kTarget) {
    return absl::OkStatus();
  }
  return AppendCounter(rule.counter, out);
}

absl::Status AppendOwnedMatches(const OwnedRule& rule, MatchWriter& out) {
  if (!rule.match.comment.empty()) {
    NFM_RETURN_IF_ERROR(AppendComment(rule.match.comment, out));
  }
  return rule.counter.empty() ? absl::OkStatus()
                              : AppendCounter(rule.counter, out);
}

}  // namespace nfmeter::kernel
