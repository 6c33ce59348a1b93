// What a mutation is about, for the records.
#ifndef NFMETER_SERVICE_MUTATION_SUMMARY_H_
#define NFMETER_SERVICE_MUTATION_SUMMARY_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::service {

struct MutationSummary {
  std::string request_id;
  bool validate_only = false;
  // The first of the names and ids that the request has.
  std::vector<std::string> targets;
  size_t target_count = 0;

  // Long ones are cut: they are what a client sent, valid or not.
  void AddTarget(absl::string_view target);
};

// Names of counters, ids of rules, and the counters of new rules.
template <typename Request>
MutationSummary SummarizeMutation(const Request& request) {
  MutationSummary summary;
  if constexpr (requires { request.validate_only(); }) {
    summary.request_id = request.request_id();
    summary.validate_only = request.validate_only();
  }
  if constexpr (requires { request.counter().name(); }) {
    summary.AddTarget(request.counter().name());
  } else if constexpr (requires { request.counters(); }) {
    for (const auto& each : request.counters()) summary.AddTarget(each.name());
  } else if constexpr (requires { request.rule().counter(); }) {
    summary.AddTarget(request.rule().counter());
  } else if constexpr (requires { request.rules(); }) {
    for (const auto& each : request.rules()) summary.AddTarget(each.counter());
  } else if constexpr (requires { request.name(); }) {
    summary.AddTarget(request.name());
  } else if constexpr (requires { request.names(); }) {
    for (const auto& each : request.names()) summary.AddTarget(each);
  } else if constexpr (requires { request.id(); }) {
    summary.AddTarget(request.id());
  } else if constexpr (requires { request.ids(); }) {
    for (const auto& each : request.ids()) summary.AddTarget(each);
  }
  return summary;
}

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_MUTATION_SUMMARY_H_
