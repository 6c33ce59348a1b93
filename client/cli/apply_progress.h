// SPDX-License-Identifier: Apache-2.0
// How far the application of a plan is.
#ifndef NFMETER_CLI_APPLY_PROGRESS_H_
#define NFMETER_CLI_APPLY_PROGRESS_H_

#include <memory>
#include <string>
#include <thread>

#include "cli/progress.h"
#include "cli/session.h"
#include "nfmeter/client.h"
#include "nfmeter/watch.h"

namespace nfmeter::cli {

// "Applying plan customers: rules, 0 of 23117, 2 s" on a terminal, as the
// server tells it on a stream of its own; elsewhere nothing, and no stream.
class ApplyProgress {
 public:
  // `client` and the session's console must outlive it.
  ApplyProgress(Session& session, Client& client, const std::string& plan);
  ~ApplyProgress();
  ApplyProgress(const ApplyProgress&) = delete;
  ApplyProgress& operator=(const ApplyProgress&) = delete;

 private:
  void Follow(const std::string& plan);

  Progress progress_;
  std::unique_ptr<PlanWatch> watch_;  // null: no terminal
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_APPLY_PROGRESS_H_
