// SPDX-License-Identifier: GPL-3.0-or-later
// A policy that follows its file.
#ifndef NFMETER_SECURITY_ACCESS_POLICY_FILE_H_
#define NFMETER_SECURITY_ACCESS_POLICY_FILE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/text_file.h"
#include "security/access/authorizer.h"
#include "security/access/policy.h"

namespace nfmeter::security {

// Gives an authorizer the policy in a file, and the next one when the file
// changes. A broken file changes nothing but what Problem() says.
//
// Refresh() is for one thread; Problem() for any.
class PolicyFile {
 public:
  // Does not own the authorizer.
  PolicyFile(std::string path, Authorizer& authorizer)
      : path_(std::move(path)), authorizer_(authorizer) {}

  // What Refresh() found.
  enum class Outcome { kUnchanged, kTaken };

  // Reads the file. Not OK: it is wrong, in a way that it was not the last
  // time; the message is that of ReadPolicy(), and the policy from before
  // stays.
  absl::StatusOr<Outcome> Refresh() {
    // The text is compared, not the file's times: those are too coarse, and
    // Kubernetes changes a symbolic link three folders up.
    const absl::StatusOr<std::string> text = ReadTextFile(path_);
    if (!text.ok()) return Refuse(text.status());
    if (policy_ == nullptr || *text != taken_) {
      absl::StatusOr<Policy> policy = ParsePolicy(*text, path_);
      if (!policy.ok()) return Refuse(policy.status());
      policy_ = std::make_shared<const Policy>(*std::move(policy));
      authorizer_.SetPolicy(policy_);
      taken_ = *text;
    } else if (Problem().empty()) {
      return Outcome::kUnchanged;
    }
    absl::MutexLock lock(&mutex_);
    problem_.clear();
    return Outcome::kTaken;
  }

  const std::string& path() const { return path_; }

  // The one in force; null: none yet. On Refresh()'s thread.
  const std::shared_ptr<const Policy>& policy() const { return policy_; }

  // What is wrong with the file now; empty: nothing.
  std::string Problem() const {
    absl::MutexLock lock(&mutex_);
    return problem_;
  }

 private:
  absl::StatusOr<Outcome> Refuse(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (problem_ == status.message()) return Outcome::kUnchanged;
    problem_ = std::string(status.message());
    return status;
  }

  const std::string path_;
  Authorizer& authorizer_;
  std::shared_ptr<const Policy> policy_;
  std::string taken_;  // its text
  mutable absl::Mutex mutex_;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_POLICY_FILE_H_
