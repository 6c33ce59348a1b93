// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/usage_query.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "accounting/common/paging.h"
#include "accounting/ledger/ledger_reader.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr size_t kMaxBuckets = 10'000;
// How long a time has its buckets in memory at once.
constexpr absl::Duration kAtOnce = absl::Hours(24);
// Samples of five minutes of all rows of a page; they take 32 MB.
constexpr size_t kMaxSamples = 2'000'000;
constexpr size_t kGapsAtOnce = 10'000;
// Gaps of one counter that touch are one here.
constexpr size_t kMaxGapsKept = 1'000'000;

absl::Time NextBorder(absl::Time time, UsageBucket bucket, absl::TimeZone zone,
                      absl::Time end) {
  switch (bucket) {
    case UsageBucket::kWhole:
      return end;
    case UsageBucket::kFiveMinutes:
      return BucketOf(time) + kBucketWidth;
    case UsageBucket::kHour:
      return HourOf(time) + absl::Hours(1);
    case UsageBucket::kDay:
      return absl::FromCivil(absl::ToCivilDay(time, zone) + 1, zone);
    case UsageBucket::kMonth:
      return absl::FromCivil(absl::ToCivilMonth(time, zone) + 1, zone);
  }
  return end;
}

uint64_t HashOf(const UsageQuery& query) {
  StableHash hash;
  hash.Add("usage");
  AddFilter(query.filter, hash);
  hash.Add(absl::ToUnixSeconds(query.from)).Add(absl::ToUnixSeconds(query.to));
  hash.Add(static_cast<uint64_t>(query.bucket)).Add(query.time_zone.name());
  for (const std::string& key : query.group_by_labels) hash.Add(key);
  hash.Add(uint64_t{query.group_by_counter});
  return hash.value();
}

UsageRate RateOf(uint64_t packets, uint64_t bytes) {
  const double seconds = absl::ToDoubleSeconds(kBucketWidth);
  return {static_cast<double>(packets) / seconds,
          static_cast<double>(bytes) / seconds};
}

// The value that at most 5 in 100 of `count` are above; those that are not in
// `values` are 0.
uint64_t Percentile95(std::vector<uint64_t> values, size_t count) {
  const size_t above = count * 5 / 100;
  if (values.size() <= above) return 0;
  std::nth_element(values.begin(), values.begin() + above, values.end(),
                   std::greater<>());
  return values[above];
}

// Where a page begins: in a bucket, after a group.
struct Place {
  absl::Time bucket;
  std::string after;  // a key; empty: the first group is next
};

absl::StatusOr<Place> ReadPlace(const std::string& token, uint64_t hash) {
  const absl::StatusOr<std::string> position = ReadPageToken(token, hash);
  if (!position.ok()) return position.status();
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(*position, absl::MaxSplits('+', 1));
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(parts.first, &seconds)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "PAGE_TOKEN_INVALID",
                     "page_token is not of this listing");
  }
  return Place{absl::FromUnixSeconds(seconds), parts.second};
}

// Counters that make one row each bucket.
struct Group {
  Labels labels;
  std::string counter;
  // From when the first of them was there to when the last one was.
  absl::Time begin = absl::InfiniteFuture();
  absl::Time end = absl::InfinitePast();
};

// Whether a gap of all counters is one of these: not one that was over before
// they were made, or that began after their end.
bool Touches(const Gap& gap, const Group& group) {
  // The file does not know any more which ones there were.
  if (gap.cause == GapCause::kStoreLost ||
      gap.cause == GapCause::kStoreRestored) {
    return true;
  }
  return gap.to >= group.begin && gap.from <= group.end;
}

// When something may be missing.
struct Missing {
  absl::Time from;
  absl::Time to;
};

class Query {
 public:
  Query(std::unique_ptr<LedgerReader> reader, Buckets open,
        const UsageQuery& query)
      : query_(query), reader_(std::move(reader)), open_(std::move(open)) {}

  absl::Status Prepare(const std::function<Labels(absl::string_view)>& labels);
  absl::StatusOr<UsagePage> Run();

 private:
  // Sums by group, in the order of groups_.
  using Sums = std::vector<Amount>;

  void Assign(const StoredAccount& stored, const Labels& labels);
  absl::Status ReadGaps();
  void Keep(const Gap& gap);
  absl::StatusOr<Sums> SumUp(absl::Time from, absl::Time to);
  absl::Status AddRates(absl::Time from, absl::Time to,
                        const std::vector<size_t>& groups,
                        std::vector<UsageRow>& rows);
  // Calls `visit` with each bucket of five minutes, or hours, in order.
  absl::Status ForEachBucket(
      absl::Time from, absl::Time to,
      absl::FunctionRef<void(absl::Time start, const Bucket& bucket)> visit);
  bool KnowsFiveMinutes(absl::Time from) const { return from >= fine_since_; }
  bool HasGap(size_t group, absl::Time from, absl::Time to) const;

  const UsageQuery& query_;
  const std::unique_ptr<LedgerReader> reader_;
  const Buckets open_;
  absl::Time fine_since_;
  absl::Time hours_until_;
  std::vector<Gap> gaps_of_all_;
  std::vector<std::vector<Missing>> gaps_;  // by group
  size_t gaps_kept_ = 0;
  bool gaps_left_ = false;  // there are more than can be kept
  std::map<std::string, Group> by_key_;
  std::vector<std::pair<std::string, Group>> groups_;  // by key
  absl::flat_hash_map<uint64_t, std::string> key_of_;
  absl::flat_hash_map<uint64_t, size_t> group_of_;  // by account
};

absl::Status Query::Prepare(
    const std::function<Labels(absl::string_view)>& labels) {
  NFM_RETURN_IF_ERROR(reader_->ForEachAccount([&](const StoredAccount& stored) {
    Assign(stored, stored.account.state == Account::State::kClosed
                       ? stored.last_labels
                       : labels(stored.account.name));
  }));
  groups_.assign(by_key_.begin(), by_key_.end());
  for (const auto& [account, key] : key_of_) {
    const auto place =
        std::lower_bound(groups_.begin(), groups_.end(), key,
                         [](const auto& group, const std::string& k) {
                           return group.first < k;
                         });
    group_of_[account] = place - groups_.begin();
  }
  NFM_ASSIGN_OR_RETURN(const absl::Time since, reader_->FiveMinutesSince());
  NFM_ASSIGN_OR_RETURN(hours_until_, reader_->HoursUntil());
  // Without hours before the first five minutes, these are all there is.
  NFM_ASSIGN_OR_RETURN(const Buckets before,
                       reader_->Hours(query_.from, HourOf(since)));
  fine_since_ = before.empty() ? absl::InfinitePast() : since;
  return ReadGaps();
}

absl::Status Query::ReadGaps() {
  gaps_.resize(groups_.size());
  uint64_t after = 0;
  while (!gaps_left_) {
    NFM_ASSIGN_OR_RETURN(const auto gaps, reader_->Gaps(query_.from, query_.to,
                                                        after, kGapsAtOnce));
    for (const auto& [number, gap] : gaps) {
      after = number;
      Keep(gap);
    }
    if (gaps.size() < kGapsAtOnce) break;
    gaps_left_ = gaps_kept_ > kMaxGapsKept;
  }
  return absl::OkStatus();
}

void Query::Keep(const Gap& gap) {
  if (gap.account == 0) {
    gaps_of_all_.push_back(gap);
    ++gaps_kept_;
    return;
  }
  const auto group = group_of_.find(gap.account);
  if (group == group_of_.end()) return;
  std::vector<Missing>& kept = gaps_[group->second];
  if (!kept.empty() && gap.from <= kept.back().to &&
      gap.to >= kept.back().from) {
    kept.back() = {std::min(kept.back().from, gap.from),
                   std::max(kept.back().to, gap.to)};
    return;
  }
  kept.push_back({gap.from, gap.to});
  ++gaps_kept_;
}

void Query::Assign(const StoredAccount& stored, const Labels& labels) {
  const std::string shown = ShownName(stored.account.name);
  if (!query_.filter.Matches(shown, labels)) return;
  Group group;
  for (const std::string& key : query_.group_by_labels) {
    const auto found = labels.find(key);
    if (found != labels.end()) group.labels.insert(*found);
  }
  if (query_.group_by_counter) group.counter = shown;
  std::string key;
  for (const std::string& label : query_.group_by_labels) {
    const auto found = group.labels.find(label);
    // Counters without the label come first.
    absl::StrAppend(&key, found == group.labels.end() ? "" : "=",
                    found == group.labels.end() ? "" : found->second,
                    absl::string_view("\0", 1));
  }
  absl::StrAppend(&key, "/", group.counter);  // never empty
  Group& of = by_key_.try_emplace(key, std::move(group)).first->second;
  const Account& account = stored.account;
  of.begin = std::min(of.begin, account.create_time);
  // One that is absent may come back, and its account goes on then.
  of.end = std::max(of.end, account.state == Account::State::kClosed
                                ? account.end_time
                                : absl::InfiniteFuture());
  key_of_[stored.account.id] = std::move(key);
}

absl::Status Query::ForEachBucket(
    absl::Time from, absl::Time to,
    absl::FunctionRef<void(absl::Time, const Bucket&)> visit) {
  // Hours as far as they are made, and from there on buckets of five minutes.
  const absl::Time fine =
      KnowsFiveMinutes(from) ? from : std::clamp(hours_until_, from, to);
  const auto visit_all = [&](const Buckets& buckets) {
    for (const auto& [start, bucket] : buckets) visit(start, bucket);
  };
  for (absl::Time begin = from; begin < fine; begin += kAtOnce) {
    NFM_ASSIGN_OR_RETURN(
        const Buckets hours,
        reader_->Hours(begin, std::min(begin + kAtOnce, fine)));
    visit_all(hours);
  }
  for (absl::Time begin = fine; begin < to; begin += kAtOnce) {
    NFM_ASSIGN_OR_RETURN(
        const Buckets five_minutes,
        reader_->FiveMinutes(begin, std::min(begin + kAtOnce, to)));
    visit_all(five_minutes);
  }
  for (auto open = open_.lower_bound(from);
       open != open_.end() && open->first < to; ++open) {
    visit(open->first, open->second);
  }
  return absl::OkStatus();
}

absl::StatusOr<Query::Sums> Query::SumUp(absl::Time from, absl::Time to) {
  Sums sums(groups_.size());
  NFM_RETURN_IF_ERROR(
      ForEachBucket(from, to, [&](absl::Time, const Bucket& bucket) {
        for (const Bucket::Row& row : bucket.rows) {
          const auto group = group_of_.find(row.account);
          if (group != group_of_.end()) sums[group->second] += row.sum;
        }
      }));
  return sums;
}

// Adds the rates to `rows`, which are those of `groups` from `from` to `to`.
absl::Status Query::AddRates(absl::Time from, absl::Time to,
                             const std::vector<size_t>& groups,
                             std::vector<UsageRow>& rows) {
  absl::flat_hash_map<size_t, size_t> row_of;
  for (size_t i = 0; i < groups.size(); ++i) row_of[groups[i]] = i;
  // By row, then by time: of an open bucket a part may be in the file already.
  std::vector<std::map<absl::Time, Amount>> samples(groups.size());
  NFM_RETURN_IF_ERROR(
      ForEachBucket(from, to, [&](absl::Time start, const Bucket& bucket) {
        for (const Bucket::Row& row : bucket.rows) {
          const auto group = group_of_.find(row.account);
          if (group == group_of_.end()) continue;
          const auto place = row_of.find(group->second);
          if (place != row_of.end()) samples[place->second][start] += row.peak;
        }
      }));
  const bool fine = KnowsFiveMinutes(from);
  const auto count = static_cast<size_t>((to - from) / kBucketWidth);
  for (size_t i = 0; i < groups.size(); ++i) {
    std::vector<uint64_t> packets;
    std::vector<uint64_t> bytes;
    for (const auto& [start, amount] : samples[i]) {
      packets.push_back(amount.packets);
      bytes.push_back(amount.bytes);
    }
    if (packets.empty()) continue;
    rows[i].peak = RateOf(*std::max_element(packets.begin(), packets.end()),
                          *std::max_element(bytes.begin(), bytes.end()));
    rows[i].five_minutes_known = fine;
    if (!fine) continue;
    rows[i].p95 = RateOf(Percentile95(std::move(packets), count),
                         Percentile95(std::move(bytes), count));
  }
  return absl::OkStatus();
}

bool Query::HasGap(size_t group, absl::Time from, absl::Time to) const {
  // One that was not looked at may lie here.
  if (gaps_left_) return true;
  const auto lies_here = [&](const auto& gap) {
    return gap.to >= from && gap.from < to;
  };
  return absl::c_any_of(gaps_[group], lies_here) ||
         absl::c_any_of(gaps_of_all_, [&](const Gap& gap) {
           return lies_here(gap) && Touches(gap, groups_[group].second);
         });
}

absl::StatusOr<UsagePage> Query::Run() {
  const uint64_t hash = HashOf(query_);
  Place place = {.bucket = query_.from};
  if (!query_.page_token.empty()) {
    NFM_ASSIGN_OR_RETURN(place, ReadPlace(query_.page_token, hash));
  }
  absl::Time from = place.bucket;
  UsagePage page;
  for (absl::Time end; from < query_.to; from = end) {
    end = std::min(NextBorder(from, query_.bucket, query_.time_zone, query_.to),
                   query_.to);
    NFM_ASSIGN_OR_RETURN(const Sums sums, SumUp(from, end));
    const auto count = static_cast<size_t>((end - from) / kBucketWidth);
    const size_t room =
        std::max<size_t>(1, std::min(query_.page_size - page.rows.size(),
                                     kMaxSamples / std::max<size_t>(count, 1)));
    std::vector<size_t> groups;
    std::vector<UsageRow> rows;
    bool more = false;
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (sums[i].zero() || groups_[i].first <= place.after) continue;
      if (rows.size() == room) {
        more = true;
        break;
      }
      groups.push_back(i);
      rows.push_back({.from = from,
                      .to = end,
                      .labels = groups_[i].second.labels,
                      .counter = groups_[i].second.counter,
                      .sum = sums[i],
                      .at_least = HasGap(i, from, end)});
    }
    NFM_RETURN_IF_ERROR(AddRates(from, end, groups, rows));
    std::move(rows.begin(), rows.end(), std::back_inserter(page.rows));
    if (more || (page.rows.size() >= query_.page_size && end < query_.to)) {
      const std::string position =
          absl::StrCat(absl::ToUnixSeconds(more ? from : end), "+",
                       more ? groups_[groups.back()].first : "");
      page.next_page_token = MakePageToken(hash, position);
      return page;
    }
    place.after.clear();
  }
  return page;
}

absl::Status CheckBuckets(const UsageQuery& query) {
  size_t buckets = 0;
  for (absl::Time from = query.from; from < query.to; ++buckets) {
    if (buckets == kMaxBuckets) {
      const std::string description =
          absl::StrCat("these are more than ", kMaxBuckets,
                       " buckets; ask for longer buckets or a shorter time");
      return MakeError(absl::StatusCode::kInvalidArgument, description,
                       ErrorDetails{.reason = "TOO_MANY_BUCKETS",
                                    .violations = {{"bucket", description}}});
    }
    from = NextBorder(from, query.bucket, query.time_zone, query.to);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckKept(const Ledger& ledger) {
  if (ledger.kept()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "USAGE_NOT_KEPT",
                   "this server keeps totals in memory only; start it with "
                   "--state-dir to have their history");
}

absl::StatusOr<UsagePage> ListUsage(
    const Ledger& ledger,
    const std::function<Labels(absl::string_view)>& labels,
    const UsageQuery& query) {
  NFM_RETURN_IF_ERROR(CheckKept(ledger));
  NFM_RETURN_IF_ERROR(CheckBuckets(query));
  while (true) {
    Ledger::Open open = ledger.OpenBuckets();
    NFM_ASSIGN_OR_RETURN(auto reader, ledger.OpenReader());
    NFM_ASSIGN_OR_RETURN(const uint64_t bucketed, reader->StandStill());
    // Otherwise they have just gone into the file, and would count twice.
    if (bucketed != open.bucketed) continue;
    Query run(std::move(reader), std::move(open.buckets), query);
    NFM_RETURN_IF_ERROR(run.Prepare(labels));
    return run.Run();
  }
}

}  // namespace nfmeter::accounting
