// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/record_listeners.h"

#include <algorithm>
#include <utility>

namespace nfmeter::accounting {

class RecordListeners::Listener {
 public:
  explicit Listener(std::function<void()> on_record)
      : on_record_(std::move(on_record)) {}

  void Tell() {
    // Held during the call so that Leave() waits for it.
    absl::MutexLock lock(&mutex_);
    if (on_record_ != nullptr) on_record_();
  }
  void Leave() {
    absl::MutexLock lock(&mutex_);
    on_record_ = nullptr;
  }

 private:
  absl::Mutex mutex_;
  std::function<void()> on_record_ ABSL_GUARDED_BY(mutex_);
};

class RecordListeners::Handle final : public Subscription {
 public:
  Handle(RecordListeners& all, std::shared_ptr<Listener> listener)
      : all_(all), listener_(std::move(listener)) {}
  ~Handle() override {
    {
      absl::MutexLock lock(&all_.mutex_);
      std::erase(all_.listeners_, listener_);
    }
    listener_->Leave();
  }

 private:
  RecordListeners& all_;
  const std::shared_ptr<Listener> listener_;
};

std::unique_ptr<RecordListeners::Subscription> RecordListeners::Subscribe(
    std::function<void()> on_record) {
  auto listener = std::make_shared<Listener>(std::move(on_record));
  {
    absl::MutexLock lock(&mutex_);
    listeners_.push_back(listener);
  }
  return std::make_unique<Handle>(*this, std::move(listener));
}

void RecordListeners::Tell() {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    absl::MutexLock lock(&mutex_);
    listeners = listeners_;
  }
  for (const auto& listener : listeners) listener->Tell();
}

}  // namespace nfmeter::accounting
