// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/account_buckets.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernel/ip_prefix.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::RuleMatch;

// Fewer accounts than these stand in a row: a tree would cost more.
constexpr size_t kTreeFrom = 5;

using kernel::Negatable;

std::string Text(uint64_t number) { return absl::StrCat(number); }
// With its length, so that the text of one name is never that of two.
std::string Text(const std::string& name) {
  return absl::StrCat(name.size(), "'", name);
}
std::string Text(const kernel::IpPrefix& prefix) {
  return kernel::FormatIpPrefix(prefix);
}
template <typename T>
std::string Text(const kernel::Range<T>& range) {
  return absl::StrCat(range.first, "-", range.last);
}
std::string Text(const std::vector<kernel::PortRange>& ranges) {
  std::string text;
  for (const kernel::PortRange& range : ranges) {
    absl::StrAppend(&text, Text(range), ",");
  }
  return text;
}
std::string Text(const kernel::Icmp& icmp) {
  return absl::StrCat(icmp.type, "/", icmp.code.has_value() ? *icmp.code : -1);
}
std::string Text(const kernel::Mark& mark) {
  return absl::StrCat(mark.value, "/", mark.mask);
}
std::string Text(const kernel::IpSet& set) {
  std::string text = Text(set.name);
  for (const kernel::IpSetDirection direction : set.directions) {
    absl::StrAppend(&text, static_cast<int>(direction), ",");
  }
  return text;
}
std::string Text(kernel::PacketType type) {
  return absl::StrCat(static_cast<int>(type));
}
std::string Text(const kernel::TcpFlags& flags) {
  return absl::StrCat(flags.mask, "/", flags.set);
}

template <typename T>
void Append(std::string& text, absl::string_view field,
            const std::optional<Negatable<T>>& condition) {
  if (!condition.has_value()) return;
  absl::StrAppend(&text, field, condition->negated ? "!" : "=",
                  Text(condition->value), ";");
}

// Equal for equal matches only, the same in every life of the server: for
// grouping, ordering and names. Not for people.
std::string MatchText(const kernel::RuleMatch& match) {
  std::string text;
  Append(text, "p", match.protocol);
  Append(text, "s", match.source);
  Append(text, "d", match.destination);
  Append(text, "i", match.in_interface);
  Append(text, "o", match.out_interface);
  Append(text, "sp", match.source_ports);
  Append(text, "dp", match.destination_ports);
  Append(text, "icmp", match.icmp);
  Append(text, "ct", match.conntrack_states);
  Append(text, "mark", match.mark);
  Append(text, "uid", match.owner_uid);
  Append(text, "gid", match.owner_gid);
  Append(text, "cgroup", match.cgroup_path);
  Append(text, "set", match.ip_set);
  Append(text, "dscp", match.dscp);
  Append(text, "type", match.packet_type);
  Append(text, "srctype", match.source_address_types);
  Append(text, "dsttype", match.destination_address_types);
  Append(text, "flags", match.tcp_flags);
  if (!match.comment.empty()) absl::StrAppend(&text, "c=", Text(match.comment));
  return text;
}

// Buckets whose rules end a packet's way come last.
int RankOf(OwnedAction action) {
  switch (action) {
    case OwnedAction::kDrop:
    case OwnedAction::kReject:
      return 1;
    default:
      return 0;
  }
}

// Whether this is the second match of a member that counts at both ends: what
// goes to it, and does not come from it.
bool IsFromElsewhere(const RuleMatch& match) {
  return match.source.has_value() && match.source->negated &&
         match.destination.has_value() && !match.destination->negated &&
         match.source->value == match.destination->value;
}

std::string BucketText(const RuleMatch& shared, std::optional<KeyField> key,
                       bool from_elsewhere, const PlanAccount& account) {
  return absl::StrCat(
      RankOf(ActionOf(account)), "|",
      key.has_value() ? static_cast<int>(*key) : -1, "|",
      account.split.has_value() ? static_cast<int>(*account.split) : -1,
      from_elsewhere ? "|from elsewhere|" : "|", MatchText(shared));
}

// What accounts that differ by the key alone have in common.
RuleMatch SharedMatch(const RuleMatch& match, KeyField key,
                      bool from_elsewhere) {
  RuleMatch shared = match;
  VisitField(shared, key, [](auto& condition) { condition.reset(); });
  if (from_elsewhere) shared.source.reset();
  return shared;
}

}  // namespace

OwnedAction ActionOf(const PlanAccount& account) {
  if (!account.quota.has_value()) return OwnedAction::kContinue;
  switch (account.quota->over) {
    case OverQuota::kTell:
      return OwnedAction::kContinue;
    case OverQuota::kDrop:
      return OwnedAction::kDrop;
    case OverQuota::kReject:
      return OwnedAction::kReject;
    case OverQuota::kMark:
      return OwnedAction::kMark;
  }
  return OwnedAction::kContinue;
}

std::string AccountBucket::Text() const {
  return BucketText(shared, key, from_elsewhere, *accounts[0]);
}

std::vector<AccountBucket> MakeBuckets(
    absl::Span<const PlanAccount* const> accounts) {
  struct Candidate {
    KeyField key;
    bool from_elsewhere;
    std::string text;
  };
  std::vector<std::vector<Candidate>> candidates(accounts.size());
  absl::flat_hash_map<std::string, size_t> sizes;
  for (size_t i = 0; i < accounts.size(); ++i) {
    const RuleMatch& match = accounts[i]->match;
    for (const KeyField key : kKeyFields) {
      if (!KeyOf(match, key).has_value()) continue;
      const bool from_elsewhere =
          key == KeyField::kDestination && IsFromElsewhere(match);
      std::string text = BucketText(SharedMatch(match, key, from_elsewhere),
                                    key, from_elsewhere, *accounts[i]);
      ++sizes[text];
      candidates[i].push_back({key, from_elsewhere, std::move(text)});
    }
  }
  std::map<std::string, AccountBucket> buckets;  // in a stable order
  for (size_t i = 0; i < accounts.size(); ++i) {
    const Candidate* best = nullptr;
    for (const Candidate& each : candidates[i]) {
      if (best == nullptr || sizes[each.text] > sizes[best->text]) best = &each;
    }
    const PlanAccount& account = *accounts[i];
    const bool alone = best == nullptr || sizes[best->text] < kTreeFrom;
    const std::string text =
        alone ? BucketText({}, std::nullopt, false, account) : best->text;
    const auto [found, is_new] = buckets.try_emplace(text);
    AccountBucket& bucket = found->second;
    bucket.accounts.push_back(&account);
    if (!is_new) continue;
    bucket.rank = RankOf(ActionOf(account));
    bucket.split = account.split;
    if (alone) continue;
    bucket.key = best->key;
    bucket.from_elsewhere = best->from_elsewhere;
    bucket.shared = SharedMatch(account.match, best->key, best->from_elsewhere);
  }
  std::vector<AccountBucket> ordered;
  for (auto& [text, bucket] : buckets) ordered.push_back(std::move(bucket));
  return ordered;
}

}  // namespace nfmeter::accounting
