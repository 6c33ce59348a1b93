// SPDX-License-Identifier: GPL-3.0-or-later
// Cgroups that a test makes.
#ifndef NFMETER_KERNEL_FAKE_FAKE_CGROUP_TREE_H_
#define NFMETER_KERNEL_FAKE_FAKE_CGROUP_TREE_H_

#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernel/cgroup_tree.h"

namespace nfmeter::kernel {

// Thread-safe. Until a test makes the first one, the hierarchy is not visible.
class FakeCgroupTree final : public CgroupTree {
 public:
  // As a service does that starts: another one than any before.
  void Make(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    visible_ = true;
    cgroups_[path] = ++last_;
  }
  void Remove(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    cgroups_.erase(path);
  }

  bool visible() const override {
    absl::MutexLock lock(&mutex_);
    return visible_;
  }
  std::optional<uint64_t> Find(absl::string_view path) override {
    absl::MutexLock lock(&mutex_);
    const auto found = cgroups_.find(path);
    if (found == cgroups_.end()) return std::nullopt;
    return found->second;
  }
  std::optional<std::string> PathOfUnit(absl::string_view unit) override {
    absl::MutexLock lock(&mutex_);
    for (const auto& [path, id] : cgroups_) {
      if (path == unit || absl::EndsWith(path, absl::StrCat("/", unit))) {
        return path;
      }
    }
    return std::nullopt;
  }

 private:
  mutable absl::Mutex mutex_;
  bool visible_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 100;
  std::map<std::string, uint64_t, std::less<>> cgroups_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_CGROUP_TREE_H_
