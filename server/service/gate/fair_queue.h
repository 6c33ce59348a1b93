// SPDX-License-Identifier: GPL-3.0-or-later
// A queue in which nobody's jobs stand behind all of somebody else's.
#ifndef NFMETER_SERVICE_GATE_FAIR_QUEUE_H_
#define NFMETER_SERVICE_GATE_FAIR_QUEUE_H_

#include <cstddef>
#include <deque>
#include <iterator>
#include <list>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"

namespace nfmeter::service {

// Takes jobs of several callers and gives them out in turn: one of each caller
// that has any, each caller's in the order in which they came. Not thread-safe.
class FairQueue {
 public:
  using Job = absl::AnyInvocable<void()>;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t SizeOf(absl::string_view caller) const {
    const auto found = places_.find(caller);
    return found == places_.end() ? 0 : found->second->jobs.size();
  }

  void Push(absl::string_view caller, Job job) {
    auto found = places_.find(caller);
    if (found == places_.end()) {
      turns_.push_back({.name = std::string(caller)});
      const auto last = std::prev(turns_.end());
      found = places_.emplace(last->name, last).first;
    }
    found->second->jobs.push_back(std::move(job));
    ++size_;
  }

  // Not when empty().
  Job Pop() {
    const auto first = turns_.begin();
    Job job = std::move(first->jobs.front());
    first->jobs.pop_front();
    --size_;
    if (first->jobs.empty()) {
      places_.erase(first->name);
      turns_.erase(first);
    } else {
      turns_.splice(turns_.end(), turns_, first);
    }
    return job;
  }

 private:
  struct Caller {
    std::string name;
    std::deque<Job> jobs;  // never empty
  };

  std::list<Caller> turns_;  // whose is next
  // By the names in turns_, which stay where they are.
  absl::flat_hash_map<absl::string_view, std::list<Caller>::iterator> places_;
  size_t size_ = 0;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_FAIR_QUEUE_H_
