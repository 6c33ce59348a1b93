// nfmeter.v1.RuleService over accounting::Rules.
#ifndef NFMETER_SERVICE_RULE_SERVICE_H_
#define NFMETER_SERVICE_RULE_SERVICE_H_

#include "accounting/rules.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "service/limits.h"
#include "service/request_cache.h"

namespace nfmeter::service {

// Thread-safe. Does not own what it is given.
class RuleService final : public v1::RuleService::Service {
 public:
  RuleService(accounting::Rules& rules, RequestCache& requests,
              const Limits& limits);

  grpc::Status CreateRule(grpc::ServerContext* context,
                          const v1::CreateRuleRequest* request,
                          v1::CreateRuleResponse* response) override;
  grpc::Status BatchCreateRules(
      grpc::ServerContext* context, const v1::BatchCreateRulesRequest* request,
      v1::BatchCreateRulesResponse* response) override;
  grpc::Status GetRule(grpc::ServerContext* context,
                       const v1::GetRuleRequest* request,
                       v1::GetRuleResponse* response) override;
  grpc::Status ListRules(grpc::ServerContext* context,
                         const v1::ListRulesRequest* request,
                         v1::ListRulesResponse* response) override;
  grpc::Status DeleteRule(grpc::ServerContext* context,
                          const v1::DeleteRuleRequest* request,
                          v1::DeleteRuleResponse* response) override;
  grpc::Status BatchDeleteRules(
      grpc::ServerContext* context, const v1::BatchDeleteRulesRequest* request,
      v1::BatchDeleteRulesResponse* response) override;
  grpc::Status ListChains(grpc::ServerContext* context,
                          const v1::ListChainsRequest* request,
                          v1::ListChainsResponse* response) override;

 private:
  accounting::Rules& rules_;
  RequestCache& requests_;
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_RULE_SERVICE_H_
