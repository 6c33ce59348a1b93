// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.RuleService.
#ifndef NFMETER_SERVICE_RULE_RULE_SERVICE_H_
#define NFMETER_SERVICE_RULE_RULE_SERVICE_H_

#include "absl/status/status.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rules.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"

namespace nfmeter::service {

// Thread-safe. Does not own what it is given.
class RuleService final : public GatedService<v1::RuleService> {
 public:
  RuleService(Gate& gate, accounting::Rules& rules,
              accounting::RuleEditor& editor, RequestCache& requests,
              const Limits& limits);

 private:
  absl::Status CreateRule(const Call& call,
                          const v1::CreateRuleRequest& request,
                          v1::CreateRuleResponse* response);
  absl::Status BatchCreateRules(const Call& call,
                                const v1::BatchCreateRulesRequest& request,
                                v1::BatchCreateRulesResponse* response);
  absl::Status GetRule(const Call& call, const v1::GetRuleRequest& request,
                       v1::GetRuleResponse* response);
  absl::Status ListRules(const Call& call, const v1::ListRulesRequest& request,
                         v1::ListRulesResponse* response);
  absl::Status DeleteRule(const Call& call,
                          const v1::DeleteRuleRequest& request,
                          v1::DeleteRuleResponse* response);
  absl::Status BatchDeleteRules(const Call& call,
                                const v1::BatchDeleteRulesRequest& request,
                                v1::BatchDeleteRulesResponse* response);
  absl::Status ListChains(const Call& call,
                          const v1::ListChainsRequest& request,
                          v1::ListChainsResponse* response);

  // How the caller may have the change of a mutation carried out.
  template <typename Request>
  accounting::RuleChange ReadChange(const Call& call,
                                    const Request& request) const;

  // What a change has done to rules of others goes with its answer.
  template <typename Response>
  void TellNotices(const Call& call, const accounting::ChangedRules& changed,
                   Response* response);

  accounting::Rules& rules_;
  accounting::RuleEditor& editor_;
  RequestCache& requests_;
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_RULE_RULE_SERVICE_H_
