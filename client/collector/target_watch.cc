// SPDX-License-Identifier: Apache-2.0
#include "collector/target_watch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/log.h"

namespace nfmeter::collector {
TargetWatch::TargetWatch(Options options, TargetsFile file,
                         std::function<void(std::vector<Target>)> on_targets)
    : options_(std::move(options)),
      on_targets_(std::move(on_targets)),
      file_(std::move(file)),
      discovered_(file_.discover.size()),
      failures_(file_.discover.size()) {
  Resolve();
  Tell();
  thread_ = std::thread([this] { Loop(); });
}

TargetWatch::~TargetWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void TargetWatch::Loop() {
  absl::Duration since_resolved;
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                                  options_.look_every)) {
        return;
      }
    }
    ReadAgain();
    since_resolved += options_.look_every;
    if (since_resolved < options_.discover_every) continue;
    since_resolved = absl::ZeroDuration();
    Resolve();
    Tell();
  }
}

void TargetWatch::ReadAgain() {
  absl::StatusOr<std::string> text = ReadTargetsText(options_.path);
  if (!text.ok() || text->empty()) {
    // The first time an editor may be about to replace it.
    if (++looks_in_vain_ == 2) {
      text_.clear();
      Log(Level::kError, "targets stay as they were",
          {{"error", text.ok() ? absl::StrCat(options_.path, " is empty")
                               : std::string(text.status().message())}});
    }
    return;
  }
  looks_in_vain_ = 0;
  if (*text == text_) return;
  text_ = *std::move(text);
  absl::StatusOr<TargetsFile> file = ParseTargets(text_, options_.path);
  if (!file.ok()) {
    Log(Level::kError, "targets stay as they were",
        {{"error", file.status().message()}});
    return;
  }
  // Names that stay have their nodes, should the DNS not answer now.
  std::vector<std::vector<Target>> discovered(file->discover.size());
  for (size_t i = 0; i < discovered.size(); ++i) {
    const auto before = std::find(file_.discover.begin(), file_.discover.end(),
                                  file->discover[i]);
    if (before == file_.discover.end()) continue;
    discovered[i] = discovered_[before - file_.discover.begin()];
  }
  discovered_ = std::move(discovered);
  failures_.assign(file->discover.size(), absl::OkStatus());
  file_ = *std::move(file);
  Resolve();
  Tell();
}

void TargetWatch::Resolve() {
  for (size_t i = 0; i < file_.discover.size(); ++i) {
    absl::StatusOr<std::vector<Target>> found = Discover(file_.discover[i]);
    if (found.ok()) {
      failures_[i] = absl::OkStatus();
      discovered_[i] = *std::move(found);
    } else if (found.status() != failures_[i]) {
      failures_[i] = found.status();
      Log(Level::kError, "targets of a name stay as they were",
          {{"error", found.status().message()}});
    }
  }
}

void TargetWatch::Tell() {
  std::vector<Target> targets;
  std::set<std::string> addresses;
  const auto add = [&](const Target& target) {
    if (addresses.insert(target.address).second) targets.push_back(target);
  };
  for (const Target& target : file_.targets) add(target);
  for (const auto& found : discovered_) {
    for (const Target& target : found) add(target);
  }
  if (targets == told_) return;
  told_ = targets;
  Log(Level::kInfo, "targets read",
      {{"file", options_.path}, {"nodes", absl::StrCat(targets.size())}});
  on_targets_(std::move(targets));
}

}  // namespace nfmeter::collector
