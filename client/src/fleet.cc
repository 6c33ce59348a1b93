// SPDX-License-Identifier: Apache-2.0
#include "nfmeter/fleet.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/src/status.h"

namespace nfmeter {

absl::StatusOr<std::unique_ptr<Fleet>> Fleet::Connect(
    const std::vector<FleetMember>& members, const FleetOptions& options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Fleet> fleet(new Fleet(options));
  for (const FleetMember& member : members) {
    if (fleet->Find(member.name) != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("two servers of the fleet are called '", member.name,
                       "'; names tell their results apart"));
    }
    auto client = Client::Connect(member.options);
    if (!client.ok()) {
      return client_internal::WithMessage(
          client.status(),
          absl::StrCat("'", member.name, "': ", client.status().message()));
    }
    fleet->nodes_.push_back({member.name, *std::move(client)});
  }
  return fleet;
}

Client* Fleet::Find(const std::string& name) {
  for (const Node& node : nodes_) {
    if (node.name == name) return node.client.get();
  }
  return nullptr;
}

std::vector<NodeResult<Snapshot>> Fleet::GetSnapshots(
    const v1::GetSnapshotRequest& request, const CallOptions& options) {
  return Call<Snapshot>(
      [&](Client& client) { return client.GetSnapshot(request, options); });
}

std::vector<NodeResult<v1::ListUsageResponse>> Fleet::ListUsage(
    const v1::ListUsageRequest& request, const CallOptions& options) {
  return Call<v1::ListUsageResponse>(
      [&](Client& client) { return client.ListUsage(request, options); });
}

std::vector<NodeResult<v1::BatchCreateRulesResponse>> Fleet::BatchCreateRules(
    const v1::BatchCreateRulesRequest& request, const CallOptions& options) {
  return Call<v1::BatchCreateRulesResponse>([&](Client& client) {
    return client.BatchCreateRules(request, options);
  });
}

std::vector<NodeResult<v1::BatchDeleteRulesResponse>> Fleet::BatchDeleteRules(
    const v1::BatchDeleteRulesRequest& request, const CallOptions& options) {
  return Call<v1::BatchDeleteRulesResponse>([&](Client& client) {
    return client.BatchDeleteRules(request, options);
  });
}

std::vector<NodeResult<v1::Node>> Fleet::GetNodes(const CallOptions& options) {
  return Call<v1::Node>(
      [&](Client& client) { return client.GetNode(options); });
}

void Fleet::InParallel(size_t count, int max_parallel,
                       const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  const auto take = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::thread> threads;
  const size_t most =
      std::min(count, static_cast<size_t>(std::max(max_parallel, 1)));
  for (size_t i = 0; i < most; ++i) threads.emplace_back(take);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace nfmeter
