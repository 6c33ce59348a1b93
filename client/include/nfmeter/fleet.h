// SPDX-License-Identifier: Apache-2.0
// Many servers at once:
//
//   auto fleet = nfmeter::Fleet::Connect({{"gw1", gw1}, {"gw2", gw2}});
//   if (!fleet.ok()) return fleet.status();
//   for (auto& [node, snapshot] : (*fleet)->GetSnapshots()) {
//     if (!snapshot.ok()) { ... }  // the others have theirs
//   }
#ifndef NFMETER_FLEET_H_
#define NFMETER_FLEET_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nfmeter/client.h"

namespace nfmeter {

// A server of a fleet.
struct FleetMember {
  std::string name;
  ClientOptions options;
};

struct FleetOptions {
  // Servers that are called at once; the others wait for their turn. A thread
  // each while it lasts.
  int max_parallel = 64;
};

// What one server answered.
template <typename Answer>
struct NodeResult {
  std::string node;
  absl::StatusOr<Answer> result;
};

// Clients of many servers. Calls go to all of them at once and return when the
// last has answered or its deadline has passed; one that is down or wrong
// spoils its own result alone. Results are in the order of the members.
//
// Thread-safe.
class Fleet {
 public:
  // As Client::Connect() for each: nothing is sent yet. INVALID_ARGUMENT: the
  // options of a member are wrong, or two have one name.
  static absl::StatusOr<std::unique_ptr<Fleet>> Connect(
      const std::vector<FleetMember>& members,
      const FleetOptions& options = {});

  size_t size() const { return nodes_.size(); }
  // Null: there is no such member.
  Client* Find(const std::string& name);

  // Any call of Client's, on all.
  template <typename Answer>
  std::vector<NodeResult<Answer>> Call(
      const std::function<absl::StatusOr<Answer>(Client&)>& call) {
    std::vector<NodeResult<Answer>> results;
    results.reserve(nodes_.size());
    for (const Node& node : nodes_) {
      results.push_back({node.name, absl::UnknownError("")});
    }
    InParallel(nodes_.size(), options_.max_parallel,
               [&](size_t i) { results[i].result = call(*nodes_[i].client); });
    return results;
  }

  std::vector<NodeResult<Snapshot>> GetSnapshots(
      const v1::GetSnapshotRequest& request = {},
      const CallOptions& options = {});
  std::vector<NodeResult<v1::ListUsageResponse>> ListUsage(
      const v1::ListUsageRequest& request, const CallOptions& options = {});
  // The same rules on every server. A request_id is each server's own: the same
  // one may be given to all.
  std::vector<NodeResult<v1::BatchCreateRulesResponse>> BatchCreateRules(
      const v1::BatchCreateRulesRequest& request,
      const CallOptions& options = {});
  std::vector<NodeResult<v1::BatchDeleteRulesResponse>> BatchDeleteRules(
      const v1::BatchDeleteRulesRequest& request,
      const CallOptions& options = {});
  std::vector<NodeResult<v1::Node>> GetNodes(const CallOptions& options = {});

  // Calls `work` with 0 to count - 1, at most `max_parallel` at once, each on a
  // thread of this call's; returns when all are done.
  static void InParallel(size_t count, int max_parallel,
                         const std::function<void(size_t)>& work);

 private:
  struct Node {
    std::string name;
    std::unique_ptr<Client> client;
  };

  explicit Fleet(const FleetOptions& options) : options_(options) {}

  const FleetOptions options_;
  std::vector<Node> nodes_;
};

}  // namespace nfmeter

#endif  // NFMETER_FLEET_H_
