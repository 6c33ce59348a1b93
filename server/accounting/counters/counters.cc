// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counters.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {
namespace {

// How many readings a listing makes to get a complete one.
constexpr int kListAttempts = 3;

// What a counter takes in an answer.
size_t ApproximateBytes(absl::string_view name, const Labels& labels) {
  size_t bytes = 96 + ShownName(name).size();
  for (const auto& [key, value] : labels) {
    bytes += 8 + key.size() + value.size();
  }
  return bytes;
}

uint64_t QueryHash(const CounterFilter& filter) {
  StableHash hash;
  hash.Add("counters");
  AddFilter(filter, hash);
  return hash.value();
}

}  // namespace

// Has snapshots taken for readers of single counters that allow staleness, one
// at a time. Nobody waits for them. Thread-safe.
class Counters::Refresh final : public SnapshotReader {
 public:
  // Called when a reader at `now` found no snapshot as recent as
  // `max_staleness`. True: one is to be taken. It pays when the reader before
  // came no longer ago than that; single readers get their one counter.
  bool IsDue(absl::Duration now, absl::Duration max_staleness) {
    const int64_t nanoseconds = absl::ToInt64Nanoseconds(now);
    const int64_t last = last_miss_.exchange(nanoseconds);
    return last != kNever &&
           absl::Nanoseconds(nanoseconds - last) <= max_staleness &&
           !running_.exchange(true);
  }

  void OnBegin(std::shared_ptr<const Snapshot>) override {}
  void OnChunk(std::shared_ptr<const SnapshotChunk>) override {}
  void OnEnd(absl::StatusOr<std::shared_ptr<const Snapshot>>) override {
    running_ = false;
  }

 private:
  static constexpr int64_t kNever = -1;

  std::atomic<int64_t> last_miss_ = kNever;  // boot time, nanoseconds
  std::atomic<bool> running_ = false;
};

std::vector<std::string> NamesOf(absl::Span<const CounterTarget> targets) {
  std::vector<std::string> names;
  names.reserve(targets.size());
  for (const CounterTarget& target : targets) names.push_back(target.name);
  return names;
}

std::string CounterEtag(absl::string_view kernel_name,
                        const std::optional<kernel::QuotaLimit>& quota,
                        const Labels& labels) {
  StableHash hash;
  hash.Add(kernel_name);
  if (quota.has_value()) {
    hash.Add(static_cast<uint64_t>(quota->unit) + 1).Add(quota->limit);
  } else {
    hash.Add(uint64_t{0});
  }
  for (const auto& [key, value] : labels) hash.Add(key).Add(value);
  return absl::StrCat(absl::Hex(hash.value(), absl::kZeroPad16));
}

Counters::Counters(const Parts& parts)
    : kernel_(parts.kernel),
      table_(parts.kernel.acct()),
      hub_(parts.snapshots),
      labels_(parts.labels),
      ledger_(parts.ledger),
      clock_(parts.clock),
      refresh_(std::make_shared<Refresh>()) {}

std::string Counters::ToolName(const std::string& name) const {
  return name.size() > kernel::kNfacctNameMaxBytes ? kernel_.ToolName(name)
                                                   : "";
}

Counter Counters::Describe(kernel::AcctObject object, ReadAt read) const {
  Counter counter;
  const Amount value = {object.packets, object.bytes};
  // Of a counter that no reading has seen, everything counted is new.
  counter.account = ledger_.Describe(object.name, value, read.since)
                        .value_or(Book::Known{value, read.wall, read.wall});
  counter.labels = labels_.Get(object.name);
  counter.tool_name = ToolName(object.name);
  counter.object = std::move(object);
  counter.read_time = read.wall;
  return counter;
}

Counter Counters::AfterReset(kernel::AcctObject object) const {
  return Describe(std::move(object), {clock_.WallTime(), absl::ZeroDuration()});
}

void Counters::DescribeCreated(Counter& counter) const {
  const kernel::AcctObject& object = counter.object;
  counter.account = ledger_
                        .Describe(object.name, {object.packets, object.bytes},
                                  absl::ZeroDuration())
                        .value_or(Book::Known{Amount{}, counter.read_time,
                                              counter.read_time});
  counter.tool_name = ToolName(object.name);
}

absl::StatusOr<Counter> Counters::Get(absl::string_view name,
                                      absl::Duration max_staleness) {
  NFM_RETURN_IF_ERROR(Available());
  if (const auto snapshot = RecentSnapshot(max_staleness)) {
    if (auto object = snapshot->Find(name)) {
      return Describe(*std::move(object), At(*snapshot));
    }
    // It may be newer than the snapshot.
  }
  const ReadAt now = Now();
  absl::StatusOr<kernel::AcctObject> object = table_.Get(name);
  if (!object.ok()) return AboutCounter(object.status(), std::string(name));
  return Describe(*std::move(object), now);
}

std::shared_ptr<const Snapshot> Counters::RecentSnapshot(
    absl::Duration max_staleness) {
  if (max_staleness <= absl::ZeroDuration()) return nullptr;
  std::shared_ptr<const Snapshot> latest = hub_.Latest();
  const absl::Duration now = clock_.BootTime();
  if (latest != nullptr && now - latest->boottime <= max_staleness) {
    return latest;
  }
  if (refresh_->IsDue(now, max_staleness)) {
    hub_.Read(max_staleness, refresh_);
  }
  return nullptr;
}

absl::StatusOr<std::vector<Counter>> Counters::GetMany(
    absl::Span<const std::string> names, absl::Duration max_staleness) {
  NFM_RETURN_IF_ERROR(Available());
  NFM_ASSIGN_OR_RETURN(Found found, Find(names, max_staleness));
  std::vector<Counter> counters;
  counters.reserve(names.size());
  std::vector<std::string> missing;
  for (size_t i = 0; i < names.size(); ++i) {
    if (found[i].has_value()) {
      counters.push_back(*std::move(found[i]));
    } else {
      missing.push_back(names[i]);
    }
  }
  if (!missing.empty()) return CountersMissing(missing);
  return counters;
}

absl::StatusOr<Counters::Found> Counters::Find(
    absl::Span<const std::string> names, absl::Duration max_staleness) {
  NFM_ASSIGN_OR_RETURN(
      FoundObjects objects,
      FindObjects(std::vector<absl::string_view>(names.begin(), names.end()),
                  max_staleness));
  Found found;
  found.reserve(names.size());
  for (std::optional<ReadObject>& each : objects) {
    found.emplace_back();
    if (each.has_value()) {
      found.back() = Describe(std::move(each->object), each->at);
    }
  }
  return found;
}

absl::StatusOr<Counters::FoundObjects> Counters::FindObjects(
    absl::Span<const absl::string_view> names, absl::Duration max_staleness) {
  if (names.size() >= kDumpFromNames || max_staleness > absl::ZeroDuration()) {
    NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                         hub_.Take(max_staleness));
    return FindInSnapshot(names, *snapshot,
                          max_staleness <= absl::ZeroDuration());
  }
  FoundObjects found;
  for (const absl::string_view name : names) {
    NFM_ASSIGN_OR_RETURN(found.emplace_back(), ReadNow(name));
  }
  return found;
}

std::shared_ptr<WaitingReader> Counters::BeginReading() {
  auto reading = std::make_shared<WaitingReader>();
  hub_.Read(absl::ZeroDuration(), reading);
  return reading;
}

absl::StatusOr<Counters::FoundObjects> Counters::FindObjects(
    absl::Span<const absl::string_view> names, WaitingReader& reading) {
  NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                       reading.Wait());
  return FindInSnapshot(names, *snapshot, /*fresh=*/true);
}

absl::StatusOr<std::optional<Counter>> Counters::FindNow(
    absl::string_view name) {
  NFM_ASSIGN_OR_RETURN(std::optional<ReadObject> read, ReadNow(name));
  if (!read.has_value()) return std::nullopt;
  return Describe(std::move(read->object), read->at);
}

absl::StatusOr<std::optional<Counters::ReadObject>> Counters::ReadNow(
    absl::string_view name) {
  const ReadAt now = Now();
  absl::StatusOr<kernel::AcctObject> object = table_.Get(name);
  if (absl::IsNotFound(object.status())) return std::nullopt;
  if (!object.ok()) return object.status();
  return ReadObject{*std::move(object), now};
}

absl::StatusOr<Counters::FoundObjects> Counters::FindInSnapshot(
    absl::Span<const absl::string_view> names, const Snapshot& snapshot,
    bool fresh) {
  FoundObjects found;
  found.reserve(names.size());
  std::vector<absl::string_view> missing;
  for (const absl::string_view name : names) {
    found.emplace_back();
    if (auto object = snapshot.Find(name)) {
      found.back() = {*std::move(object), At(snapshot)};
    } else {
      missing.push_back(name);
    }
  }
  if (missing.empty() || (snapshot.complete && fresh)) return found;
  // Newer than the snapshot, or left out of an incomplete one: look again, of
  // a stale snapshot perhaps by another dump, and then one by one.
  FoundObjects again;
  if (!fresh) {
    NFM_ASSIGN_OR_RETURN(again, FindObjects(missing, absl::ZeroDuration()));
  } else {
    for (const absl::string_view name : missing) {
      NFM_ASSIGN_OR_RETURN(again.emplace_back(), ReadNow(name));
    }
  }
  auto next = again.begin();
  for (std::optional<ReadObject>& each : found) {
    if (!each.has_value()) each = std::move(*next++);
  }
  return found;
}

absl::StatusOr<std::vector<std::string>> Counters::Missing(
    absl::Span<const std::string> names, absl::Duration max_staleness) {
  NFM_RETURN_IF_ERROR(Available());
  std::vector<std::string> unseen(names.begin(), names.end());
  // Newer than a stale dump, or left out of an incomplete one: look again, by
  // a fresh dump while there are many, as the kernel walks a list for each
  // name that it is asked for.
  while (unseen.size() >= kDumpFromNames) {
    NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                         hub_.Take(max_staleness));
    std::erase_if(unseen, [&](const std::string& name) {
      return snapshot->Find(name).has_value();
    });
    const bool fresh = max_staleness <= absl::ZeroDuration();
    if (fresh && snapshot->complete) return unseen;
    if (fresh) break;
    max_staleness = absl::ZeroDuration();
  }
  std::vector<std::string> missing;
  for (std::string& name : unseen) {
    const absl::Status found = table_.Get(name).status();
    if (absl::IsNotFound(found)) {
      missing.push_back(std::move(name));
    } else if (!found.ok()) {
      return found;
    }
  }
  return missing;
}

absl::StatusOr<std::shared_ptr<const Snapshot>> Counters::CompleteSnapshot(
    absl::Duration max_staleness) {
  for (int attempt = 0; attempt < kListAttempts; ++attempt) {
    NFM_ASSIGN_OR_RETURN(
        std::shared_ptr<const Snapshot> snapshot,
        hub_.Take(attempt == 0 ? max_staleness : absl::ZeroDuration()));
    if (snapshot->complete) return snapshot;
  }
  return MakeError(absl::StatusCode::kUnavailable, "SNAPSHOT_INCOMPLETE",
                   "another program deletes counters so fast that the list "
                   "could not be read to its end; try again");
}

absl::StatusOr<CounterPage> Counters::List(const CounterQuery& query) {
  NFM_RETURN_IF_ERROR(Available());
  const uint64_t hash = QueryHash(query.filter);
  std::string last;
  if (!query.page_token.empty()) {
    NFM_ASSIGN_OR_RETURN(last, ReadPageToken(query.page_token, hash));
  }
  NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                       CompleteSnapshot(query.max_staleness));
  const bool by_labels = query.filter.needs_labels();
  const bool all = query.filter.matches_all();
  CounterPage page;
  size_t bytes = 0;
  for (const kernel::AcctObject& object : snapshot->SortedByName()) {
    if (!all && !query.filter.Matches(
                    ShownName(object.name),
                    by_labels ? labels_.Get(object.name) : Labels())) {
      continue;
    }
    ++page.total_size;
    if (object.name <= last) continue;
    if (!page.next_page_token.empty()) continue;
    if (page.counters.size() < query.page_size) {
      Counter counter = Describe(object, At(*snapshot));
      bytes += ApproximateBytes(object.name, counter.labels);
      if (bytes <= query.max_bytes || page.counters.empty()) {
        page.counters.push_back(std::move(counter));
        continue;
      }
    }
    page.next_page_token =
        MakePageToken(hash, page.counters.back().object.name);
  }
  return page;
}

size_t Counters::AnswerBytes(absl::Span<const CounterTarget> targets) const {
  size_t bytes = 0;
  for (const CounterTarget& target : targets) {
    bytes += ApproximateBytes(target.name, labels_.Get(target.name));
  }
  return bytes;
}

absl::StatusOr<std::vector<Counter>> Counters::Check(
    absl::Span<const CounterTarget> targets) {
  NFM_ASSIGN_OR_RETURN(std::vector<Counter> counters,
                       GetMany(NamesOf(targets), absl::ZeroDuration()));
  std::vector<std::string> changed;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].etag.empty()) continue;
    const Counter& counter = counters[i];
    if (targets[i].etag != CounterEtag(counter.object.name,
                                       counter.object.quota, counter.labels)) {
      changed.push_back(targets[i].name);
    }
  }
  if (!changed.empty()) return CountersChanged(changed);
  return counters;
}

}  // namespace nfmeter::accounting
