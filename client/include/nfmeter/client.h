// SPDX-License-Identifier: Apache-2.0
// The client of nfmeterd:
//
//   auto client = nfmeter::Client::Connect();
//   if (!client.ok()) return client.status();
//   auto counter = (*client)->CreateCounter("http-traffic");
//
// Link nfmeter::client (CMake: find_package(nfmeter)).
#ifndef NFMETER_CLIENT_H_
#define NFMETER_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/errors.h"    // IWYU pragma: export
#include "nfmeter/options.h"   // IWYU pragma: export
#include "nfmeter/snapshot.h"  // IWYU pragma: export
#include "nfmeter/usage.h"     // IWYU pragma: export
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/flow.pb.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "nfmeter/v1/usage.pb.h"
#include "nfmeter/watch.h"  // IWYU pragma: export

namespace nfmeter {

namespace client_internal {
class Connection;
}  // namespace client_internal

// Answer of the standard health service.
enum class Health { kServing, kNotServing, kUnknownService };

// A connection to one server, and its methods. Requests and answers are the
// messages of nfmeter.v1; the short forms that take a name and return the
// object are for the commonest use.
//
// Every call blocks until it is answered or its deadline has passed
// (DEADLINE_EXCEEDED). Attempts that fail with UNAVAILABLE are retried as
// RetryOptions says. A change without a request_id gets one (a UUID), so that a
// retry never carries it out twice. A server that is killed may have made a
// change and not yet kept its id: when its epoch is no longer the one before
// the first attempt (one GetNode for each connection learns it), a change that
// it may have got is not retried but fails with ABORTED, SERVER_RESTARTED; look
// what became of it before you try again. See errors.h for what errors say.
//
// Thread-safe. Moving and copying are left to unique_ptr.
class Client {
 public:
  // Checks the options and prepares the connection, which is made by the first
  // call and again when it broke; a server that is not there makes calls fail,
  // not this.
  // INVALID_ARGUMENT: address or TLS options are wrong, or TLS is missing for
  // an address that is neither a unix socket nor loopback.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(
      const ClientOptions& options = {});

  explicit Client(std::shared_ptr<client_internal::Connection> connection);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The address as resolved from options, environment and default.
  const std::string& address() const;

  // Counters: see CounterService in counter.proto for what each does.
  absl::StatusOr<v1::Counter> CreateCounter(absl::string_view name,
                                            const CallOptions& options = {});
  absl::StatusOr<v1::CreateCounterResponse> CreateCounter(
      const v1::CreateCounterRequest& request, const CallOptions& options = {});

  absl::StatusOr<v1::Counter> GetCounter(absl::string_view name,
                                         const CallOptions& options = {});
  absl::StatusOr<v1::GetCounterResponse> GetCounter(
      const v1::GetCounterRequest& request, const CallOptions& options = {});

  // Changes labels, description or quota; see UpdateCounterRequest.update_mask.
  absl::StatusOr<v1::UpdateCounterResponse> UpdateCounter(
      const v1::UpdateCounterRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::Counter> ResetCounter(absl::string_view name,
                                           const CallOptions& options = {});
  absl::StatusOr<v1::ResetCounterResponse> ResetCounter(
      const v1::ResetCounterRequest& request, const CallOptions& options = {});

  absl::StatusOr<v1::Counter> DeleteCounter(absl::string_view name,
                                            const CallOptions& options = {});
  absl::StatusOr<v1::DeleteCounterResponse> DeleteCounter(
      const v1::DeleteCounterRequest& request, const CallOptions& options = {});

  // All pages in one answer; next_page_token is empty. page_size says how many
  // counters travel at once, page_token must be empty. The short form takes a
  // glob ("": all).
  absl::StatusOr<std::vector<v1::Counter>> ListCounters(
      absl::string_view name_glob, const CallOptions& options = {});
  absl::StatusOr<v1::ListCountersResponse> ListCounters(
      const v1::ListCountersRequest& request, const CallOptions& options = {});
  // Page by page, for lists that should not be held in memory. Stops early,
  // with OK, when `page` returns false.
  absl::Status ListCounterPages(
      const v1::ListCountersRequest& request,
      const std::function<bool(const v1::ListCountersResponse&)>& page,
      const CallOptions& options = {});

  // Batches may be of any size. One larger than the server's max_batch_size or
  // max_request_bytes is split (and then needs one GetNode, the first time);
  // what the proto promises for a batch ("all or none", "all are checked
  // first") then holds for each part. Resets and deletes of counters, which
  // take the kernel long, go in parts of at most 2,000, each with the timeout
  // of a call. Parts get request_id, "/" and their number; the server takes 128
  // characters of both. When a part fails, the parts before it stay carried
  // out:
  // - Reset and delete of counters return their answers, and list what was not
  //   done in `failures`; they fail only when the first part does.
  // - The others return the error, whose message says how many items were
  //   carried out; so does the last call of `progress`.
  // Indexes in answers and errors are those of the whole batch.
  absl::StatusOr<v1::BatchCreateCountersResponse> BatchCreateCounters(
      const v1::BatchCreateCountersRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);
  absl::StatusOr<v1::BatchGetCountersResponse> BatchGetCounters(
      const v1::BatchGetCountersRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);
  absl::StatusOr<v1::BatchResetCountersResponse> BatchResetCounters(
      const v1::BatchResetCountersRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);
  absl::StatusOr<v1::BatchDeleteCountersResponse> BatchDeleteCounters(
      const v1::BatchDeleteCountersRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);

  // Rules: see RuleService in rule.proto for what each does.
  absl::StatusOr<v1::Rule> CreateRule(const v1::Rule& rule,
                                      const CallOptions& options = {});
  absl::StatusOr<v1::CreateRuleResponse> CreateRule(
      const v1::CreateRuleRequest& request, const CallOptions& options = {});

  absl::StatusOr<v1::Rule> GetRule(absl::string_view id,
                                   const CallOptions& options = {});

  absl::StatusOr<v1::Rule> DeleteRule(absl::string_view id,
                                      const CallOptions& options = {});
  absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(
      const v1::DeleteRuleRequest& request, const CallOptions& options = {});

  // As ListCounters. When the rules change between two pages, the list is
  // begun again, up to three times (then ABORTED, RULES_CHANGED).
  absl::StatusOr<v1::ListRulesResponse> ListRules(
      const v1::ListRulesRequest& request = {},
      const CallOptions& options = {});
  // As ListCounterPages; ABORTED when the rules change between two pages.
  absl::Status ListRulePages(
      const v1::ListRulesRequest& request,
      const std::function<bool(const v1::ListRulesResponse&)>& page,
      const CallOptions& options = {});

  // See BatchCreateCounters.
  absl::StatusOr<v1::BatchCreateRulesResponse> BatchCreateRules(
      const v1::BatchCreateRulesRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);
  absl::StatusOr<v1::BatchDeleteRulesResponse> BatchDeleteRules(
      const v1::BatchDeleteRulesRequest& request,
      const CallOptions& options = {}, const BatchProgress& progress = nullptr);

  absl::StatusOr<v1::ListChainsResponse> ListChains(
      const v1::ListChainsRequest& request = {},
      const CallOptions& options = {});

  // Plans: see PlanService in plan.proto for what each does. ListPlans returns
  // all pages in one answer.
  absl::StatusOr<v1::ApplyPlanResponse> ApplyPlan(
      const v1::ApplyPlanRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::GetPlanResponse> GetPlan(absl::string_view name,
                                              const CallOptions& options = {});
  absl::StatusOr<v1::ListPlansResponse> ListPlans(
      const CallOptions& options = {});
  absl::StatusOr<v1::DeletePlanResponse> DeletePlan(
      const v1::DeletePlanRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::ExportPlanResponse> ExportPlan(
      absl::string_view name, const CallOptions& options = {});
  absl::StatusOr<v1::PlanStatus> GetPlanStatus(absl::string_view name,
                                               const CallOptions& options = {});
  // Resumes by itself; see watch.h. `name` empty: all plans.
  std::unique_ptr<PlanWatch> WatchPlanStatus(absl::string_view name = "",
                                             const WatchOptions& options = {});

  // Snapshots: see SnapshotService in snapshot.proto. `request.view` is set by
  // the method. DATA_LOSS: the stream ended before the snapshot was whole.
  absl::StatusOr<Snapshot> GetSnapshot(
      const v1::GetSnapshotRequest& request = {},
      const CallOptions& options = {});
  // The same with everything that the server says about each counter: view
  // ROWS, all chunks in one message.
  absl::StatusOr<v1::SnapshotFrame> GetSnapshotRows(
      const v1::GetSnapshotRequest& request = {},
      const CallOptions& options = {});

  // Streams that resume by themselves; see watch.h. Unspecified view: COLUMNS.
  std::unique_ptr<SnapshotWatch> WatchSnapshots(
      const v1::WatchSnapshotsRequest& request = {},
      const WatchOptions& options = {});
  std::unique_ptr<QuotaWatch> WatchQuotaEvents(
      const v1::WatchQuotaEventsRequest& request = {},
      const WatchOptions& options = {});

  // Flows: see FlowService in flow.proto for what each does.
  absl::StatusOr<v1::SummarizeFlowsResponse> SummarizeFlows(
      const v1::SummarizeFlowsRequest& request = {},
      const CallOptions& options = {});
  // All chunks in one answer. DATA_LOSS: the stream ended before the list was
  // whole.
  absl::StatusOr<v1::ListFlowsResponse> ListFlows(
      const v1::ListFlowsRequest& request = {},
      const CallOptions& options = {});
  std::unique_ptr<FlowWatch> WatchFlows(
      const v1::WatchFlowsRequest& request = {},
      const WatchOptions& options = {});

  // Usage: see UsageService in usage.proto for what each does. Lists return all
  // pages in one answer; the forms with `page` are as ListCounterPages.
  absl::StatusOr<v1::ListUsageResponse> ListUsage(
      const v1::ListUsageRequest& request, const CallOptions& options = {});
  absl::Status ListUsagePages(
      const v1::ListUsageRequest& request,
      const std::function<bool(const v1::ListUsageResponse&)>& page,
      const CallOptions& options = {});
  absl::StatusOr<v1::ListGapsResponse> ListGaps(
      const v1::ListGapsRequest& request = {}, const CallOptions& options = {});
  absl::Status ListGapPages(
      const v1::ListGapsRequest& request,
      const std::function<bool(const v1::ListGapsResponse&)>& page,
      const CallOptions& options = {});
  absl::StatusOr<v1::ListConsumersResponse> ListConsumers(
      const CallOptions& options = {});
  // NOT_FOUND also where an earlier attempt, whose answer was lost, did it.
  absl::Status DeleteConsumer(absl::string_view name,
                              const CallOptions& options = {});
  // A stream of the ledger's records that resumes by itself; see usage.h.
  std::unique_ptr<UsageCollector> CollectUsage(
      const v1::CollectUsageStart& start, const CollectOptions& options = {});

  // What the server is and can do.
  absl::StatusOr<v1::Node> GetNode(const CallOptions& options = {});

  // grpc.health.v1 of one service, such as "nfmeter.v1.RuleService", or with ""
  // of the whole server.
  absl::StatusOr<Health> CheckHealth(absl::string_view service = "",
                                     const CallOptions& options = {});

 private:
  std::shared_ptr<client_internal::Connection> connection_;
};

}  // namespace nfmeter

#endif  // NFMETER_CLIENT_H_
