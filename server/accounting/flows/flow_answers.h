// SPDX-License-Identifier: GPL-3.0-or-later
// Answers that are kept for callers who take old ones.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_ANSWERS_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_ANSWERS_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace nfmeter::accounting {

// Keeps an answer as long as whoever asked for it would have taken an old one:
// nothing is kept unless somebody asks with a staleness. Bounded; the oldest
// ones go first. Not thread-safe. All times are boottimes.
template <typename Question, typename Answer>
class FlowAnswers {
 public:
  explicit FlowAnswers(size_t max_weight) : max_weight_(max_weight) {}

  // An answer whose reading began at most `max_staleness` ago; none at 0, as a
  // reading that began in the same instant may have begun before the question.
  std::optional<Answer> Find(const Question& question, absl::Duration now,
                             absl::Duration max_staleness) {
    if (max_staleness <= absl::ZeroDuration()) return std::nullopt;
    Forget(now);
    for (auto it = kept_.rbegin(); it != kept_.rend(); ++it) {
      if (it->question == question && now - it->read <= max_staleness) {
        return it->answer;
      }
    }
    return std::nullopt;
  }

  // `read`: when its reading began; `weight`: what it takes of the bound.
  void Keep(Question question, Answer answer, absl::Duration read,
            absl::Duration until, size_t weight) {
    if (weight > max_weight_) return;
    std::erase_if(kept_,
                  [&](const Kept& each) { return each.question == question; });
    kept_.push_back(
        {std::move(question), std::move(answer), read, until, weight});
    size_t sum = 0;
    for (const Kept& each : kept_) sum += each.weight;
    while (sum > max_weight_) {
      sum -= kept_.front().weight;
      kept_.erase(kept_.begin());
    }
  }

  // Drops what is too old for everybody.
  void Forget(absl::Duration now) {
    std::erase_if(kept_, [now](const Kept& each) { return each.until < now; });
  }

  // When the next one is to be forgotten.
  absl::Duration NextEnd() const {
    absl::Duration next = absl::InfiniteDuration();
    for (const Kept& each : kept_) next = std::min(next, each.until);
    return next;
  }

 private:
  struct Kept {
    Question question;
    Answer answer;
    absl::Duration read;
    absl::Duration until;
    size_t weight;
  };

  const size_t max_weight_;
  std::vector<Kept> kept_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_ANSWERS_H_
