// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/policy_file.h"

#include "base/text_file.h"

namespace nfmeter::security {

// The text is compared, not the file's times: those are too coarse, and
// Kubernetes changes a symbolic link three folders up.
absl::StatusOr<PolicyFile::Outcome> PolicyFile::Refresh() {
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

absl::StatusOr<PolicyFile::Outcome> PolicyFile::Refuse(
    const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (problem_ == status.message()) return Outcome::kUnchanged;
  problem_ = std::string(status.message());
  return status;
}

std::string PolicyFile::Problem() const {
  absl::MutexLock lock(&mutex_);
  return problem_;
}

}  // namespace nfmeter::security
