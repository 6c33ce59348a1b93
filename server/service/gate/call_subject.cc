// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/call_subject.h"

#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace nfmeter::service {
namespace {

constexpr size_t kMaxTargets = 16;
constexpr size_t kMaxTargetBytes = 128;

}  // namespace

void CallSubject::AddTarget(absl::string_view target) {
  if (target_count++ < kMaxTargets) {
    targets.push_back(ValidUtf8(target.substr(0, kMaxTargetBytes)));
  }
}

std::string DescribeRule(const v1::Rule& rule) {
  std::string text = absl::StrCat(
      rule.counter(), " in ", rule.table().empty() ? "filter" : rule.table(),
      "/", rule.chain());
  if (rule.verdict() != v1::VERDICT_UNSPECIFIED) {
    absl::StrAppend(&text, ": ", v1::Verdict_Name(rule.verdict()));
  }
  if (!rule.id().empty()) absl::StrAppend(&text, ", id ", rule.id());
  return text;
}

}  // namespace nfmeter::service
