// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/request_cache.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "service/gate/message_bytes.h"

namespace nfmeter::service {
namespace {

// Kept on disk, and so the same after a restart.
uint64_t Fingerprint(const google::protobuf::Message& request) {
  return StableHash().Add(StableBytes(request)).value();
}

absl::Status Reused(absl::string_view request_id) {
  const std::string description =
      "was used before with another request; every change needs an id of its "
      "own, such as a new UUID";
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("request_id '", request_id, "' ", description),
                   ErrorDetails{.reason = "REQUEST_ID_REUSED",
                                .violations = {{"request_id", description}}});
}

absl::Status WaitedTooLong() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "REQUEST_UNDER_WAY",
                   "an earlier request with this request_id is still being "
                   "carried out; ask again with the same id for its answer");
}

}  // namespace

RequestCache::RequestCache(Clock& clock) : RequestCache(clock, Options()) {}

RequestCache::RequestCache(Clock& clock, const Options& options)
    : clock_(clock), options_(options) {}

absl::Status RequestCache::KeepIn(accounting::AnswerStore& store) {
  const absl::Time now = clock_.WallTime();
  NFM_ASSIGN_OR_RETURN(std::vector<accounting::StoredAnswer> answers,
                       store.Load(now - options_.lifetime));
  absl::MutexLock lock(&mutex_);
  for (accounting::StoredAnswer& answer : answers) {
    const Key key(std::move(answer.method), std::move(answer.request_id));
    const auto entry =
        running_.insert(running_.end(), Entry{key, answer.fingerprint});
    by_key_[key] = entry;
    // Across a restart only the wall clock tells how old an answer is.
    const absl::Duration age =
        std::max(now - answer.time, absl::ZeroDuration());
    Keep(entry, std::move(answer.answer), clock_.BootTime() - age);
  }
  store_ = &store;
  durable_ = true;
  return absl::OkStatus();
}

absl::Status RequestCache::Run(absl::string_view method,
                               absl::string_view request_id,
                               const google::protobuf::Message& request,
                               google::protobuf::Message* response,
                               absl::Time deadline,
                               absl::FunctionRef<absl::Status()> mutate) {
  if (request_id.empty()) return mutate();
  const Key key(method, request_id);
  const uint64_t fingerprint = Fingerprint(request);
  Entries::iterator entry;
  {
    absl::MutexLock lock(&mutex_);
    const auto ended = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = by_key_.find(key);
      return found == by_key_.end() || found->second->done ||
             found->second->fingerprint != fingerprint;
    };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&ended), deadline)) {
      return WaitedTooLong();
    }
    ForgetOld();
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      if (found->second->fingerprint != fingerprint) return Reused(request_id);
      response->ParseFromString(found->second->answer);
      ++hits_;
      return absl::OkStatus();
    }
    entry = running_.insert(running_.end(), Entry{key, fingerprint});
    by_key_[key] = entry;
  }
  const absl::Status status = mutate();
  std::string answer = status.ok() ? response->SerializeAsString() : "";
  if (status.ok() && store_ != nullptr) Store(key, fingerprint, answer);
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    Keep(entry, std::move(answer), clock_.BootTime());
  } else {
    by_key_.erase(key);
    running_.erase(entry);
  }
  return status;
}

// When the disk does not take the answer, it is kept in memory alone: the
// change has been made, so the caller gets its answer in any case.
void RequestCache::Store(const Key& key, uint64_t fingerprint,
                         const std::string& answer) {
  std::vector<Key> forgotten;
  {
    absl::MutexLock lock(&mutex_);
    forgotten.swap(forgotten_);
  }
  const absl::Status stored = store_->Put({.method = key.first,
                                           .request_id = key.second,
                                           .fingerprint = fingerprint,
                                           .answer = answer,
                                           .time = clock_.WallTime()},
                                          forgotten);
  durable_ = stored.ok();
  if (stored.ok()) return;
  absl::MutexLock lock(&mutex_);
  ++not_stored_;
  forgotten_.insert(forgotten_.end(), forgotten.begin(), forgotten.end());
}

RequestCache::Stats RequestCache::stats() const {
  absl::MutexLock lock(&mutex_);
  return {.entries = finished_.size(),
          .bytes = bytes_,
          .hits = hits_,
          .not_stored = not_stored_};
}

void RequestCache::Keep(Entries::iterator entry, std::string answer,
                        absl::Duration since) {
  entry->done = true;
  entry->answer = std::move(answer);
  entry->kept_since = since;
  bytes_ += entry->answer.size();
  finished_.splice(finished_.end(), running_, entry);
  ForgetOld();
}

void RequestCache::ForgetOld() {
  const absl::Duration oldest = clock_.BootTime() - options_.lifetime;
  while (!finished_.empty()) {
    const Entry& entry = finished_.front();
    const bool over_bounds =
        finished_.size() > options_.max_entries || bytes_ > options_.max_bytes;
    const bool only_one = finished_.size() == 1;
    if (entry.kept_since > oldest && (!over_bounds || only_one)) return;
    bytes_ -= entry.answer.size();
    if (store_ != nullptr) forgotten_.push_back(entry.key);
    by_key_.erase(entry.key);
    finished_.pop_front();
  }
}

void RequestCache::WriteMetrics(telemetry::MetricsText& text) const {
  const Stats now = stats();
  text.Gauge("nfmeter_request_cache_answers",
             "Answers kept for repeated request_ids.", now.entries);
  text.Gauge("nfmeter_request_cache_bytes", "Bytes of them.", now.bytes);
  text.Counter("nfmeter_request_cache_hits_total",
               "Requests that got an answer kept from before.", now.hits);
  text.Counter("nfmeter_request_cache_not_stored_total",
               "Answers that the disk did not take: a restart would not know "
               "them.",
               now.not_stored);
}

}  // namespace nfmeter::service
