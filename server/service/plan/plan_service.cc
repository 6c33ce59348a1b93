// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/plan_service.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "accounting/common/paging.h"
#include "accounting/rules/rule_editor.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/plan/export_plan.h"
#include "service/plan/plan_message.h"
#include "service/plan/read_plan.h"

namespace nfmeter::service {
namespace {

// The most changes that one answer lists.
constexpr int kMaxChanges = 10'000;
constexpr char kKind[] = "plans";  // of streams
constexpr size_t kExportPage = 1000;
// Marks page tokens as those of ListPlans.
constexpr uint64_t kListing = 0x706c616e73;

// Only who may touch all counters of a plan may apply it.
std::vector<std::string> CountersOf(const accounting::Plan& plan) {
  std::vector<std::string> names;
  const auto add = [&](const accounting::PlanAccount& account) {
    for (std::string& name : accounting::CountersOf(plan, account)) {
      names.push_back(std::move(name));
    }
  };
  for (const accounting::PlanAccount& account : plan.accounts) add(account);
  for (const accounting::AccountGroup& group : plan.groups) {
    accounting::PlanAccount account{.split = group.shared.split};
    for (const accounting::AccountGroup::Member& member : group.members) {
      account.counter = member.counter;
      add(account);
    }
  }
  return names;
}

// For what touches the counters of all plans.
absl::Status CheckScopeIsAll(const Call& call) {
  if (call.scope().has_all()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied, "COUNTER_NOT_PERMITTED",
      absl::StrCat(call.caller->principal, " may touch only counters whose ",
                   "name starts with ",
                   absl::StrJoin(call.scope().prefixes, " or "),
                   ", and so not all plans"));
}

}  // namespace

// Sends statuses as they change; of a plan that changes faster than the client
// reads, the newest.
class PlanStream final : public MessageStream {
 public:
  PlanStream(std::string name, WorkThreads& threads)
      : name_(std::move(name)), threads_(threads) {}

  // Returns at once; writes on another thread than the caller's.
  void Tell(const accounting::PlanStatus& status) {
    if (!name_.empty() && status.name != name_) return;
    {
      absl::MutexLock lock(&mutex_);
      waiting_[status.name] = status;
    }
    WakeOn(threads_);
  }

 private:
  std::optional<Message> Next() override {
    v1::WatchPlanStatusResponse response;
    {
      absl::MutexLock lock(&mutex_);
      if (waiting_.empty()) return std::nullopt;
      ToProto(waiting_.begin()->second, response.mutable_status());
      waiting_.erase(waiting_.begin());
    }
    return Message{ToBytes(response)};
  }
  void OnEnded() override {}

  const std::string name_;
  WorkThreads& threads_;
  absl::Mutex mutex_;
  std::map<std::string, accounting::PlanStatus> waiting_
      ABSL_GUARDED_BY(mutex_);
};

PlanService::PlanService(Gate& gate, const Parts& parts, const Limits& limits)
    : GatedService(gate),
      parts_(parts),
      limits_(limits),
      threads_("nfm-plan-watch", 1) {
  Unary("ApplyPlan", &PlanService::ApplyPlan);
  Unary("GetPlan", &PlanService::GetPlan);
  Unary("ListPlans", &PlanService::ListPlans);
  Unary("DeletePlan", &PlanService::DeletePlan);
  Unary("ExportPlan", &PlanService::ExportPlan);
  Unary("GetPlanStatus", &PlanService::GetPlanStatus);
  Stream("WatchPlanStatus", &PlanService::WatchPlanStatus);
  parts_.streams.AddKind(kKind);
  parts_.plans.AddListener(
      [this](const accounting::PlanStatus& status) { Tell(status); });
}

PlanService::~PlanService() = default;

absl::Status PlanService::ApplyPlan(const Call& call,
                                    const v1::ApplyPlanRequest& request,
                                    v1::ApplyPlanResponse* response) {
  FieldErrors errors;
  accounting::NewPlan plan = {.plan = ReadPlan(request.plan(), "plan", errors),
                              .source = PlanSource(request.plan()),
                              .owner = call.caller->principal};
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  if (!call.scope().has_all()) {
    NFM_RETURN_IF_ERROR(CheckScope(call, CountersOf(plan.plan)));
  }
  if (accounting::Decides(plan.plan) && !call.MayDecide()) {
    return accounting::VerdictNotPermitted();
  }
  return Mutate(
      call, parts_.requests, "ApplyPlan", request, response,
      [&]() -> absl::Status {
        NFM_ASSIGN_OR_RETURN(
            const accounting::PlanOutcome outcome,
            parts_.plans.Apply(std::move(plan),
                               {.etag = request.etag(),
                                .validate_only = request.validate_only(),
                                .prune = request.prune(),
                                .allow_empty = request.allow_empty(),
                                .take_over = request.take_over(),
                                .counting_only = !call.MayDecide(),
                                .patience = RulePatience(call, limits_)}));
        ToProto(outcome.plan, response->mutable_plan());
        ToProto(outcome.plan, response->mutable_cost());
        for (const accounting::PlanChange& change : outcome.changes) {
          if (response->changes_size() == kMaxChanges) break;
          ToProto(change, response->add_changes());
        }
        response->set_change_count(outcome.changes.size());
        response->set_commits(static_cast<uint32_t>(outcome.commits));
        return absl::OkStatus();
      });
}

absl::Status PlanService::GetPlan(const Call& /*call*/,
                                  const v1::GetPlanRequest& request,
                                  v1::GetPlanResponse* response) {
  FieldErrors errors;
  CheckPlanName(request.name(), "name", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_ASSIGN_OR_RETURN(const accounting::PlanInfo info,
                       parts_.plans.Get(request.name()));
  NFM_ASSIGN_OR_RETURN(*response->mutable_plan(), ParsePlanSource(info.source));
  ToProto(info, response->mutable_plan());
  ToProto(info, response->mutable_cost());
  return absl::OkStatus();
}

absl::Status PlanService::ListPlans(const Call& /*call*/,
                                    const v1::ListPlansRequest& request,
                                    v1::ListPlansResponse* response) {
  FieldErrors errors;
  const size_t page_size = ReadPageSize(request.page_size(), limits_, errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  std::string after;
  if (!request.page_token().empty()) {
    NFM_ASSIGN_OR_RETURN(
        after, accounting::ReadPageToken(request.page_token(), kListing));
  }
  for (const accounting::PlanInfo& info : parts_.plans.List()) {
    if (!after.empty() && info.name <= after) continue;
    if (static_cast<size_t>(response->plans_size()) == page_size) {
      response->set_next_page_token(accounting::MakePageToken(
          kListing, response->plans(response->plans_size() - 1).name()));
      break;
    }
    ToProto(info, response->add_plans());
  }
  return absl::OkStatus();
}

absl::Status PlanService::DeletePlan(const Call& call,
                                     const v1::DeletePlanRequest& request,
                                     v1::DeletePlanResponse* response) {
  FieldErrors errors;
  if (!request.all()) {
    CheckPlanName(request.name(), "name", errors);
  } else if (!request.name().empty() || !request.etag().empty()) {
    errors.Add("all", "is about all plans: leave name and etag out");
  }
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  if (request.all()) NFM_RETURN_IF_ERROR(CheckScopeIsAll(call));
  return Mutate(call, parts_.requests, "DeletePlan", request, response,
                [&]() -> absl::Status {
                  const accounting::PlanDeletion deletion = {
                      .etag = request.etag(),
                      .owner = call.caller->principal,
                      .validate_only = request.validate_only(),
                      .keep_counters = request.keep_counters(),
                      .take_over = request.take_over(),
                      .counting_only = !call.MayDecide(),
                      .patience = RulePatience(call, limits_)};
                  NFM_ASSIGN_OR_RETURN(
                      const accounting::PlanRemoval removal,
                      request.all()
                          ? parts_.plans.DeleteAll(deletion)
                          : parts_.plans.Delete(request.name(), deletion));
                  for (const std::string& plan : removal.plans) {
                    response->add_deleted_plans(plan);
                  }
                  for (const std::string& chain : removal.chains) {
                    response->add_deleted_chains(chain);
                  }
                  response->set_deleted_counters(removal.counters);
                  response->set_deleted_rules(removal.rules);
                  return absl::OkStatus();
                });
}

absl::Status PlanService::ExportPlan(const Call& /*call*/,
                                     const v1::ExportPlanRequest& request,
                                     v1::ExportPlanResponse* response) {
  const std::string name = request.name().empty() ? "exported" : request.name();
  FieldErrors errors;
  CheckPlanName(name, "name", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  std::vector<accounting::Counter> counters;
  accounting::CounterQuery query{.page_size = kExportPage};
  do {
    NFM_ASSIGN_OR_RETURN(accounting::CounterPage page,
                         parts_.counters.List(query));
    std::move(page.counters.begin(), page.counters.end(),
              std::back_inserter(counters));
    query.page_token = std::move(page.next_page_token);
  } while (!query.page_token.empty());
  std::vector<std::string> names;
  for (const accounting::Counter& each : counters) {
    names.push_back(each.object.name);
  }
  NFM_ASSIGN_OR_RETURN(const std::vector<kernel::Rule> rules,
                       parts_.rules.Holders(names));
  response->mutable_plan()->set_name(name);
  service::ExportPlan(counters, rules, parts_.plans.PlansByCounter(), response);
  return absl::OkStatus();
}

absl::Status PlanService::GetPlanStatus(const Call& /*call*/,
                                        const v1::GetPlanStatusRequest& request,
                                        v1::GetPlanStatusResponse* response) {
  FieldErrors errors;
  CheckStatusName(request.name(), "name", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_ASSIGN_OR_RETURN(const accounting::PlanStatus status,
                       parts_.plans.Status(request.name()));
  ToProto(status, response->mutable_status());
  return absl::OkStatus();
}

void PlanService::Tell(const accounting::PlanStatus& status) {
  std::vector<std::shared_ptr<PlanStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(watching_, [&](const std::weak_ptr<PlanStream>& weak) {
      std::shared_ptr<PlanStream> stream = weak.lock();
      if (stream == nullptr) return true;
      streams.push_back(std::move(stream));
      return false;
    });
  }
  for (const auto& stream : streams) stream->Tell(status);
}

absl::Status PlanService::WatchPlanStatus(
    const Call& call, const v1::WatchPlanStatusRequest& request) {
  if (!request.name().empty()) {
    FieldErrors errors;
    CheckStatusName(request.name(), "name", errors);
    NFM_RETURN_IF_ERROR(errors.ToStatus());
    NFM_RETURN_IF_ERROR(parts_.plans.Status(request.name()).status());
  }
  auto stream = std::make_shared<PlanStream>(request.name(), threads_);
  NFM_RETURN_IF_ERROR(parts_.streams.Start(kKind, stream, call));
  {
    absl::MutexLock lock(&mutex_);
    watching_.push_back(stream);
  }
  for (const accounting::PlanStatus& status : parts_.plans.Statuses()) {
    stream->Tell(status);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::service
