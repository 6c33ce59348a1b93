// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/read_plan.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "accounting/common/counter_filter.h"
#include "accounting/plans/plans.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/ip_prefix.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/match/read_match.h"

namespace nfmeter::service {
namespace {

using accounting::AccountGroup;
using accounting::Direction;
using accounting::GroupKey;
using accounting::OverQuota;
using accounting::PlanAccount;
using accounting::PlanQuota;
using accounting::QuotaPeriod;

constexpr size_t kMaxDescription = 200;
constexpr uint32_t kNobodysId = 0xffffffff;  // (uid_t)-1

bool IsWord(absl::string_view text, size_t max) {
  return !text.empty() && text.size() <= max &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::string At(const std::string& field, absl::string_view name) {
  return field.empty() ? std::string(name) : absl::StrCat(field, ".", name);
}

std::vector<uint32_t> ReadThresholds(
    const google::protobuf::RepeatedField<uint32_t>& thresholds,
    const std::string& field, FieldErrors& errors) {
  std::vector<uint32_t> read;
  for (int i = 0; i < thresholds.size(); ++i) {
    const uint32_t percent = thresholds[i];
    if (percent < 1 || percent > 99) {
      errors.Add(Indexed(field, i),
                 "must be a share of the limit in percent, 1 to 99; at 100 "
                 "the quota itself tells");
    } else if (!read.empty() && percent <= read.back()) {
      errors.Add(Indexed(field, i), "must be greater than the one before");
    } else {
      read.push_back(percent);
    }
  }
  return read;
}

std::optional<QuotaPeriod> ReadPeriod(const v1::QuotaPeriod& period,
                                      const std::string& field,
                                      FieldErrors& errors) {
  QuotaPeriod read;
  uint32_t last_day = 1;
  switch (period.unit()) {
    case v1::QuotaPeriod::UNIT_DAY:
      read.unit = QuotaPeriod::Unit::kDay;
      break;
    case v1::QuotaPeriod::UNIT_WEEK:
      read.unit = QuotaPeriod::Unit::kWeek;
      last_day = 7;
      break;
    case v1::QuotaPeriod::UNIT_MONTH:
      read.unit = QuotaPeriod::Unit::kMonth;
      last_day = 31;
      break;
    default:
      errors.Add(At(field, "unit"), "must be DAY, WEEK or MONTH");
      return std::nullopt;
  }
  if (read.unit == QuotaPeriod::Unit::kDay && period.start_day() != 0) {
    errors.Add(At(field, "start_day"), "is for weeks and months only");
  } else if (period.start_day() > last_day) {
    errors.Add(At(field, "start_day"), read.unit == QuotaPeriod::Unit::kWeek
                                           ? "must be 1 (Monday) to 7 (Sunday)"
                                           : "must be 1 to 31");
  } else if (period.start_day() != 0) {
    read.start_day = static_cast<int>(period.start_day());
  }
  if (!period.time_zone().empty() &&
      !absl::LoadTimeZone(period.time_zone(), &read.zone)) {
    errors.Add(At(field, "time_zone"),
               absl::StrCat(Quoted(period.time_zone()),
                            " is no time zone that the server knows (its "
                            "/usr/share/zoneinfo); write it as Europe/Berlin, "
                            "or leave it out for UTC"));
  }
  return read;
}

std::optional<PlanQuota> ReadQuota(const v1::PlanQuota& quota,
                                   const std::string& field,
                                   FieldErrors& errors) {
  PlanQuota read;
  switch (quota.limit_case()) {
    case v1::PlanQuota::kPackets:
      read.limit = {kernel::QuotaLimit::Unit::kPackets, quota.packets()};
      break;
    case v1::PlanQuota::kBytes:
      read.limit = {kernel::QuotaLimit::Unit::kBytes, quota.bytes()};
      break;
    case v1::PlanQuota::LIMIT_NOT_SET:
      errors.Add(field, "needs packets or bytes");
      return std::nullopt;
  }
  if (read.limit.limit == 0) errors.Add(field, "must be greater than 0");
  switch (quota.over()) {
    case v1::OVER_QUOTA_UNSPECIFIED:
    case v1::OVER_QUOTA_TELL:
      read.over = OverQuota::kTell;
      break;
    case v1::OVER_QUOTA_DROP:
      read.over = OverQuota::kDrop;
      break;
    case v1::OVER_QUOTA_REJECT:
      read.over = OverQuota::kReject;
      break;
    case v1::OVER_QUOTA_MARK:
      read.over = OverQuota::kMark;
      break;
    default:
      errors.Add(At(field, "over"), "is not known to this server");
  }
  if (quota.has_mark() != (read.over == OverQuota::kMark)) {
    errors.Add(At(field, "mark"), quota.has_mark()
                                      ? "is for over: MARK only"
                                      : "is needed for over: MARK");
  }
  if (quota.has_mark()) {
    read.mark = {quota.mark().value(),
                 quota.mark().has_mask() ? quota.mark().mask() : 0xffffffff};
  }
  read.thresholds =
      ReadThresholds(quota.thresholds(), At(field, "thresholds"), errors);
  if (quota.has_period()) {
    read.period = ReadPeriod(quota.period(), At(field, "period"), errors);
  }
  return read;
}

std::vector<Direction> ReadDirections(
    const google::protobuf::RepeatedField<int>& directions,
    const std::string& field, FieldErrors& errors) {
  std::vector<Direction> read;
  for (int i = 0; i < directions.size(); ++i) {
    const std::string place = Indexed(field, i);
    std::optional<Direction> direction;
    switch (directions[i]) {
      case v1::DIRECTION_IN:
        direction = Direction::kIn;
        break;
      case v1::DIRECTION_OUT:
        direction = Direction::kOut;
        break;
      case v1::DIRECTION_FORWARDED:
        direction = Direction::kForwarded;
        break;
      default:
        errors.Add(place, "must be IN, OUT or FORWARDED");
        continue;
    }
    if (std::count(read.begin(), read.end(), *direction) > 0) {
      errors.Add(place, "is there twice");
    }
    read.push_back(*direction);
  }
  return read;
}

std::optional<accounting::Split> ReadSplit(v1::SplitBy split,
                                           const std::string& field,
                                           FieldErrors& errors) {
  switch (split) {
    case v1::SPLIT_BY_UNSPECIFIED:
      return std::nullopt;
    case v1::SPLIT_BY_SOURCE:
      return accounting::Split::kSource;
    case v1::SPLIT_BY_DESTINATION:
      return accounting::Split::kDestination;
    default:
      errors.Add(field, "must be SOURCE or DESTINATION");
      return std::nullopt;
  }
}

// Where something stands, for errors: made only for those.
using Place = absl::FunctionRef<std::string()>;

// The counters of a split account have the class's name after the account's.
void CheckCounter(const std::string& counter, size_t longest_class, Place place,
                  FieldErrors& errors) {
  if (!accounting::IsCounterName(counter)) {
    errors.Add(place(), "must be 1 to 253 of [A-Za-z0-9._:/@+-]");
  } else if (longest_class > 0 &&
             counter.size() + 1 + longest_class > kernel::kAcctNameMaxBytes) {
    errors.Add(place(),
               absl::StrCat("is too long: with the longest class behind it, it "
                            "has more than ",
                            kernel::kAcctNameMaxBytes, " bytes"));
  }
}

// What accounts and groups have in common.
template <typename Message>
PlanAccount ReadShared(const Message& message, const std::string& field,
                       FieldErrors& errors) {
  PlanAccount account;
  account.field = field;
  account.labels = ReadLabels(message.labels(), At(field, "labels"), errors);
  account.description = message.description();
  if (account.description.size() > kMaxDescription) {
    errors.Add(At(field, "description"),
               absl::StrCat("has ", account.description.size(),
                            " bytes; at most ", kMaxDescription));
  }
  if (message.has_quota()) {
    account.quota = ReadQuota(message.quota(), At(field, "quota"), errors);
  }
  account.directions =
      ReadDirections(message.directions(), At(field, "directions"), errors);
  account.family = ReadFamily(message.family(), At(field, "family"), errors);
  account.match = ReadMatch(message.match(), At(field, "match"), errors);
  account.split = ReadSplit(message.split_by(), At(field, "split_by"), errors);
  return account;
}

size_t LongestClass(const v1::Plan& plan) {
  size_t longest = accounting::kOtherClass.size();
  for (const v1::AddressClass& each : plan.classes()) {
    longest = std::max(longest, each.name().size());
  }
  return longest;
}

// A name as in systemd.unit(5), of a type of unit that has sockets.
void CheckUnit(const v1::Account& account, const std::string& field,
               FieldErrors& errors) {
  const std::string& unit = account.systemd_unit();
  if (unit.empty()) return;
  const bool named = std::all_of(unit.begin(), unit.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(":-_.\\@", c);
  });
  const bool typed =
      absl::EndsWith(unit, ".service") || absl::EndsWith(unit, ".scope") ||
      absl::EndsWith(unit, ".slice") || absl::EndsWith(unit, ".socket");
  if (!named || !typed || unit.size() > 255) {
    errors.Add(At(field, "systemd_unit"),
               absl::StrCat(Quoted(unit),
                            " is not the name of a unit with sockets, such as "
                            "web.service, web@1.service or machine.slice"));
  } else if (!account.match().cgroup_path().empty()) {
    errors.Add(At(field, "systemd_unit"),
               "stands in place of match.cgroup_path: give one of them");
  }
}

std::optional<GroupKey> ReadKey(v1::GroupKey key) {
  switch (key) {
    case v1::GROUP_KEY_SOURCE:
      return GroupKey::kSource;
    case v1::GROUP_KEY_DESTINATION:
      return GroupKey::kDestination;
    case v1::GROUP_KEY_ADDRESS:
      return GroupKey::kAddress;
    case v1::GROUP_KEY_SOURCE_PORT:
      return GroupKey::kSourcePort;
    case v1::GROUP_KEY_DESTINATION_PORT:
      return GroupKey::kDestinationPort;
    case v1::GROUP_KEY_UID:
      return GroupKey::kUid;
    default:
      return std::nullopt;
  }
}

// "7", "7-9".
template <typename T>
std::optional<kernel::Range<T>> ReadRange(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  uint32_t first = 0;
  if (!absl::SimpleAtoi(parts.first, &first)) return std::nullopt;
  uint32_t last = first;
  if (text.find('-') != absl::string_view::npos &&
      !absl::SimpleAtoi(parts.second, &last)) {
    return std::nullopt;
  }
  if (last < first || last > std::numeric_limits<T>::max()) {
    return std::nullopt;
  }
  return kernel::Range<T>{static_cast<T>(first), static_cast<T>(last)};
}

std::optional<AccountGroup::Value> ReadValue(GroupKey key,
                                             const std::string& text,
                                             Place place, FieldErrors& errors) {
  switch (key) {
    case GroupKey::kSource:
    case GroupKey::kDestination:
    case GroupKey::kAddress: {
      const absl::StatusOr<kernel::IpPrefix> prefix =
          kernel::ParseIpPrefix(text);
      if (prefix.ok()) return *prefix;
      errors.Add(place(), std::string(prefix.status().message()));
      return std::nullopt;
    }
    case GroupKey::kSourcePort:
    case GroupKey::kDestinationPort:
      if (const auto range = ReadRange<uint16_t>(text)) return *range;
      errors.Add(place(), "must be a port, or two as in 8000-8099");
      return std::nullopt;
    case GroupKey::kUid:
      if (const auto range = ReadRange<uint32_t>(text);
          range.has_value() && range->last != kNobodysId) {
        return *range;
      }
      errors.Add(place(), "must be a uid, or two as in 1000-1999");
      return std::nullopt;
  }
  return std::nullopt;
}

using Members = google::protobuf::Map<std::string, std::string>;

AccountGroup ReadGroup(const v1::AccountGroup& group, size_t longest_class,
                       const std::string& field, FieldErrors& errors) {
  AccountGroup read;
  read.shared = ReadShared(group, field, errors);
  const std::optional<GroupKey> key = ReadKey(group.key());
  if (!key.has_value()) {
    errors.Add(At(field, "key"),
               "must say by what the members differ: SOURCE, DESTINATION, "
               "ADDRESS, SOURCE_PORT, DESTINATION_PORT or UID");
    return read;
  }
  read.key = *key;
  if (group.members().empty()) errors.Add(At(field, "members"), "has none");
  // In a stable order, as the map has none.
  std::vector<const Members::value_type*> members;
  members.reserve(group.members().size());
  for (const Members::value_type& each : group.members()) {
    members.push_back(&each);
  }
  std::sort(members.begin(), members.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  read.members.reserve(members.size());
  for (const Members::value_type* each : members) {
    const auto& [text, counter] = *each;
    const auto place = [&field, &text = text] {
      return absl::StrCat(field, ".members[\"", text, "\"]");
    };
    CheckCounter(counter, read.shared.split.has_value() ? longest_class : 0,
                 place, errors);
    if (auto value = ReadValue(read.key, text, place, errors)) {
      read.members.push_back({*std::move(value), counter});
    }
  }
  return read;
}

accounting::AddressClass ReadClass(const v1::AddressClass& message,
                                   const std::string& field,
                                   FieldErrors& errors) {
  accounting::AddressClass read{.name = message.name(), .field = field};
  if (!IsWord(read.name, 20)) {
    errors.Add(At(field, "name"), "must be 1 to 20 of [a-z0-9-]");
  }
  for (int i = 0; i < message.prefixes_size(); ++i) {
    const auto prefix = kernel::ParseIpPrefix(message.prefixes(i));
    if (prefix.ok()) {
      read.prefixes.push_back(*prefix);
    } else {
      errors.Add(Indexed(At(field, "prefixes"), i),
                 std::string(prefix.status().message()));
    }
  }
  return read;
}

// Refuses what the plan's table has no target for.
void CheckVerdicts(const accounting::Plan& plan, FieldErrors& errors) {
  const auto check = [&](const PlanAccount& account) {
    if (!account.quota.has_value()) return;
    const OverQuota over = account.quota->over;
    const std::string field = At(account.field, "quota.over");
    if (over == OverQuota::kReject && plan.table != kernel::Table::kFilter) {
      errors.Add(field, "REJECT needs the plan's table to be filter");
    }
    if (over == OverQuota::kMark && plan.table != kernel::Table::kMangle) {
      errors.Add(field, "MARK needs the plan's table to be mangle");
    }
  };
  for (const PlanAccount& account : plan.accounts) check(account);
  for (const AccountGroup& group : plan.groups) check(group.shared);
}

kernel::Table ReadPlanTable(const v1::Plan& plan, const std::string& field,
                            FieldErrors& errors) {
  const kernel::Table table =
      ReadTable(plan.table(), field, errors).value_or(kernel::Table::kFilter);
  if (table == kernel::Table::kNat || table == kernel::Table::kRaw) {
    errors.Add(field,
               "must be filter, mangle or security: this one does not see "
               "all packets to, from and through the host");
  }
  return table;
}

}  // namespace

void CheckPlanName(const std::string& name, const std::string& field,
                   FieldErrors& errors) {
  if (!IsWord(name, 40)) errors.Add(field, "must be 1 to 40 of [a-z0-9-]");
}

void CheckStatusName(const std::string& name, const std::string& field,
                     FieldErrors& errors) {
  if (name != accounting::kOutsidePlans) CheckPlanName(name, field, errors);
}

accounting::Plan ReadPlan(const v1::Plan& plan, const std::string& field,
                          FieldErrors& errors) {
  accounting::Plan read{.name = plan.name()};
  CheckPlanName(read.name, At(field, "name"), errors);
  read.table = ReadPlanTable(plan, At(field, "table"), errors);
  read.placement =
      ReadPlacement(plan.placement(), At(field, "placement"), errors);
  for (int i = 0; i < plan.classes_size(); ++i) {
    read.classes.push_back(
        ReadClass(plan.classes(i), Indexed(At(field, "classes"), i), errors));
  }
  const size_t longest = LongestClass(plan);
  for (int i = 0; i < plan.accounts_size(); ++i) {
    const std::string place = Indexed(At(field, "accounts"), i);
    PlanAccount& account =
        read.accounts.emplace_back(ReadShared(plan.accounts(i), place, errors));
    account.counter = plan.accounts(i).counter();
    account.systemd_unit = plan.accounts(i).systemd_unit();
    CheckUnit(plan.accounts(i), place, errors);
    CheckCounter(
        account.counter, account.split.has_value() ? longest : 0,
        [&] { return At(place, "counter"); }, errors);
  }
  for (int i = 0; i < plan.groups_size(); ++i) {
    read.groups.push_back(ReadGroup(plan.groups(i), longest,
                                    Indexed(At(field, "groups"), i), errors));
  }
  CheckVerdicts(read, errors);
  return read;
}

std::string PlanSource(const v1::Plan& plan) {
  if (!plan.etag().empty() || !plan.owner().empty() || plan.has_apply_time()) {
    v1::Plan given = plan;
    given.clear_etag();
    given.clear_owner();
    given.clear_apply_time();
    return PlanSource(given);
  }
  return StableBytes(plan);
}

absl::StatusOr<v1::Plan> ParsePlanSource(absl::string_view source) {
  v1::Plan plan;
  if (!plan.ParseFromArray(source.data(), static_cast<int>(source.size()))) {
    return MakeError(absl::StatusCode::kDataLoss, "PLAN_DAMAGED",
                     "the plan can't be read from the store; apply it again");
  }
  return plan;
}

absl::StatusOr<accounting::Plan> ReadPlanSource(absl::string_view source) {
  NFM_ASSIGN_OR_RETURN(const v1::Plan message, ParsePlanSource(source));
  FieldErrors errors;
  accounting::Plan plan = ReadPlan(message, "", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return plan;
}

}  // namespace nfmeter::service
