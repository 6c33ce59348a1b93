// SPDX-License-Identifier: GPL-3.0-or-later
// A kernel in memory, for tests.
#ifndef NFMETER_KERNEL_FAKE_FAKE_KERNEL_H_
#define NFMETER_KERNEL_FAKE_FAKE_KERNEL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernel/acct_names.h"
#include "kernel/cgroup_tree.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_flow_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "kernel/kernel.h"

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

// Behaves as the real one (tests/conformance); tests reach its parts to play
// traffic, other users of the host and failures. Thread-safe.
class FakeKernel : public Kernel {
 public:
  explicit FakeKernel(const Capabilities& capabilities = {})
      : FakeKernel(std::make_unique<FakeAcctTable>(), nullptr) {
    SetCapabilities(capabilities);
    Probe();
  }
  // What a test derives from the fakes takes their place; `rules` may be null.
  FakeKernel(std::unique_ptr<FakeAcctTable> acct,
             std::unique_ptr<FakeRuleTable> rules)
      : acct_(std::move(acct)),
        rules_(rules != nullptr
                   ? std::move(rules)
                   : std::make_unique<FakeRuleTable>(acct_.get())) {}

  FakeAcctTable& acct() override { return *acct_; }
  FakeAcctTable& rule_acct() override { return *acct_; }
  FakeRuleTable& rules() override { return *rules_; }
  FakeRuleTable& rule_reads() override { return *rules_; }
  FakeFlowTable& flows() override { return flows_; }
  FakeCgroupTree& cgroups() override { return cgroups_; }

  std::vector<std::string> Notices() override { return {}; }
  // As nfacct.
  std::string ToolName(absl::string_view counter) const override {
    return NfacctName(counter);
  }
  absl::string_view acct_backend() const override { return "fake"; }
  absl::string_view rule_backend() const override { return "fake iptables"; }

  // What the next probe finds, and what holds at once for rules.
  void SetCapabilities(const Capabilities& capabilities) {
    rules_->SetCapabilities(capabilities.rules);
    rules_->SetCountsByMaps(capabilities.backend == Backend::kNftables);
    absl::MutexLock lock(&mutex_);
    capabilities_ = capabilities;
  }

 private:
  Capabilities FindCapabilities() override {
    absl::MutexLock lock(&mutex_);
    return capabilities_;
  }

  const std::unique_ptr<FakeAcctTable> acct_;
  const std::unique_ptr<FakeRuleTable> rules_;
  FakeFlowTable flows_;
  FakeCgroupTree cgroups_;
  absl::Mutex mutex_;
  Capabilities capabilities_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_KERNEL_H_
