// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/export_plan.h"

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "accounting/common/counter_filter.h"
#include "service/match/match_message.h"

namespace nfmeter::service {
namespace {

std::optional<v1::Direction> DirectionOf(const kernel::Rule& rule) {
  if (rule.chain == "INPUT") return v1::DIRECTION_IN;
  if (rule.chain == "OUTPUT") return v1::DIRECTION_OUT;
  if (rule.chain == "FORWARD") return v1::DIRECTION_FORWARDED;
  return std::nullopt;
}

// Why the rule can't be a part of an account; empty: it can.
std::string WhyNot(const kernel::Rule& rule) {
  if (!DirectionOf(rule).has_value()) {
    return absl::StrCat("it is in chain ", rule.chain,
                        ", and a plan counts in INPUT, OUTPUT and FORWARD");
  }
  if (rule.table != kernel::Table::kFilter) {
    return absl::StrCat("it is in table ", kernel::TableName(rule.table),
                        ", and the others are in filter");
  }
  if (rule.verdict == kernel::Verdict::kAccept ||
      rule.verdict == kernel::Verdict::kReturn) {
    return "it decides about packets whether or not a quota is exceeded";
  }
  return "";
}

void SetQuota(const kernel::QuotaLimit& limit, bool drop,
              v1::PlanQuota* quota) {
  if (limit.unit == kernel::QuotaLimit::Unit::kPackets) {
    quota->set_packets(limit.limit);
  } else {
    quota->set_bytes(limit.limit);
  }
  if (drop) quota->set_over(v1::OVER_QUOTA_DROP);
}

}  // namespace

void ExportPlan(absl::Span<const accounting::Counter> counters,
                absl::Span<const kernel::Rule> rules,
                v1::ExportPlanResponse* response) {
  std::map<std::string, std::vector<const kernel::Rule*>> by_counter;
  for (const kernel::Rule& rule : rules) {
    if (!rule.managed || rule.id.empty() || rule.id[0] == '~') continue;
    if (std::string why = WhyNot(rule); why.empty()) {
      by_counter[rule.counter].push_back(&rule);
    } else {
      response->add_left_out(absl::StrCat("rule ", rule.id, ": ", why));
    }
  }
  for (const accounting::Counter& counter : counters) {
    const auto found = by_counter.find(counter.object.name);
    const std::string name = accounting::ShownName(counter.object.name);
    if (found == by_counter.end()) continue;
    const kernel::Rule& first = *found->second[0];
    v1::Account account;
    bool one = true;
    for (const kernel::Rule* const rule : found->second) {
      one = one && rule->match == first.match && rule->family == first.family &&
            rule->verdict == first.verdict;
      account.add_directions(*DirectionOf(*rule));
    }
    if (!one) {
      response->add_left_out(
          absl::StrCat("counter ", name,
                       ": its rules differ by more than the "
                       "chain, and an account has one match"));
      continue;
    }
    account.set_counter(name);
    account.set_family(ToProto(first.family));
    ToProto(first.match, account.mutable_match());
    if (account.match().ByteSizeLong() == 0) account.clear_match();
    account.mutable_labels()->insert(counter.labels.begin(),
                                     counter.labels.end());
    if (counter.object.quota.has_value()) {
      SetQuota(*counter.object.quota, first.verdict == kernel::Verdict::kDrop,
               account.mutable_quota());
    }
    *response->mutable_plan()->add_accounts() = std::move(account);
  }
}

}  // namespace nfmeter::service
