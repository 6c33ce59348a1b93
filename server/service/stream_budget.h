// How many streams there may be.
#ifndef NFMETER_SERVICE_STREAM_BUDGET_H_
#define NFMETER_SERVICE_STREAM_BUDGET_H_

#include <atomic>
#include <cstddef>

namespace nfmeter::service {

// Bounds the streams of all services together (NodeLimits.max_streams).
// Thread-safe.
class StreamBudget {
 public:
  explicit StreamBudget(size_t max) : max_(max) {}

  StreamBudget(const StreamBudget&) = delete;
  StreamBudget& operator=(const StreamBudget&) = delete;

  // Whether there was room for one more; give it back with Return().
  [[nodiscard]] bool Take() {
    size_t open = open_.load();
    while (open < max_) {
      if (open_.compare_exchange_weak(open, open + 1)) return true;
    }
    return false;
  }
  void Return() { --open_; }

  size_t max() const { return max_; }

 private:
  const size_t max_;
  std::atomic<size_t> open_ = 0;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_STREAM_BUDGET_H_
