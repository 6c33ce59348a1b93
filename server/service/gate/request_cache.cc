// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/request_cache.h"

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace nfmeter::service {
namespace {

// Of the request's bytes with maps in a fixed order.
uint64_t Fingerprint(const google::protobuf::Message& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return absl::HashOf(bytes, bytes.size());
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
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    Keep(entry, std::move(answer));
  } else {
    by_key_.erase(key);
    running_.erase(entry);
  }
  return status;
}

RequestCache::Stats RequestCache::stats() const {
  absl::MutexLock lock(&mutex_);
  return {.entries = finished_.size(), .bytes = bytes_, .hits = hits_};
}

void RequestCache::Keep(Entries::iterator entry, std::string answer) {
  entry->done = true;
  entry->answer = std::move(answer);
  entry->kept_since = clock_.BootTime();
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
    by_key_.erase(entry.key);
    finished_.pop_front();
  }
}

void RequestCache::WriteMetrics(telemetry::MetricsText& text) const {
  using Type = telemetry::MetricsText::Type;
  const Stats now = stats();
  text.Family("nfmeter_request_cache_answers", Type::kGauge,
              "Answers kept for repeated request_ids.");
  text.Add(uint64_t{now.entries});
  text.Family("nfmeter_request_cache_bytes", Type::kGauge, "Bytes of them.");
  text.Add(uint64_t{now.bytes});
  text.Family("nfmeter_request_cache_hits_total", Type::kCounter,
              "Requests that got an answer kept from before.");
  text.Add(now.hits);
}

}  // namespace nfmeter::service
