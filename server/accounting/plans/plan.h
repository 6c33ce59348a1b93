// SPDX-License-Identifier: GPL-3.0-or-later
// What people declare: which traffic goes into which counter.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "accounting/common/counter_filter.h"
#include "kernel/acct_table.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// A value.
struct QuotaPeriod {
  enum class Unit { kDay, kWeek, kMonth };

  Unit unit = Unit::kMonth;
  // Of a week 1 (Monday) to 7, of a month 1 to 31; a shorter month begins its
  // period with its last day.
  int start_day = 1;
  absl::TimeZone zone = absl::UTCTimeZone();

  friend bool operator==(const QuotaPeriod&, const QuotaPeriod&) = default;
};

// When the period that `time` is in began: a midnight of its zone, or the first
// moment of the day where the clocks skip midnight.
absl::Time PeriodStart(const QuotaPeriod& period, absl::Time time);

// Where a packet passes: to this host, from it, or through it.
enum class Direction { kIn, kOut, kForwarded };
inline constexpr Direction kAllDirections[] = {Direction::kIn, Direction::kOut,
                                               Direction::kForwarded};

// "in", "out", "forwarded".
absl::string_view DirectionName(Direction direction);

// What happens to packets once a counter's quota is exceeded.
enum class OverQuota { kTell, kDrop, kReject, kMark };

struct PlanQuota {
  kernel::QuotaLimit limit;
  OverQuota over = OverQuota::kTell;
  kernel::Mark mark;  // for kMark
  // Shares of the limit in percent that are told of, rising.
  std::vector<uint32_t> thresholds;
  // After which it starts anew; nullopt: it does not.
  std::optional<QuotaPeriod> period;

  friend bool operator==(const PlanQuota&, const PlanQuota&) = default;
};

// A named set of prefixes. Where those of several hold an address, the longest
// decides.
struct AddressClass {
  std::string name;
  std::vector<kernel::IpPrefix> prefixes;
  std::string field;  // as PlanAccount::field, "classes[1]"

  friend bool operator==(const AddressClass&, const AddressClass&) = default;
};

// The class of all addresses that no other holds.
inline constexpr absl::string_view kOtherClass = "other";

// Which end of a packet has the address that is looked up in the classes.
enum class Split { kSource, kDestination };

// One counter with the packets that it counts. A packet counts for each account
// that matches it.
struct PlanAccount {
  std::string counter;
  Labels labels;
  std::string description;
  std::optional<PlanQuota> quota;
  // Empty: all in which the match can hold.
  std::vector<Direction> directions;
  std::optional<kernel::Family> family;  // nullopt: both
  kernel::RuleMatch match;
  // Sockets of this systemd unit's cgroup: "web.service". Empty: any.
  std::string systemd_unit;
  // Which end of the packet decides between the plan's classes; nullopt: the
  // account is not split. A split account has one counter a class, see
  // ClassCounter().
  std::optional<Split> split;
  // What errors about it say: its place in the plan, "accounts[3]".
  std::string field;

  friend bool operator==(const PlanAccount&, const PlanAccount&) = default;
};

// By what the accounts of a group differ.
enum class GroupKey {
  kSource,           // an address or prefix
  kDestination,      // likewise
  kAddress,          // source or destination; a packet counts once
  kSourcePort,       // a port or range
  kDestinationPort,  // likewise
  kUid,              // a uid or range
};

// Many accounts that differ by one thing.
struct AccountGroup {
  GroupKey key = GroupKey::kSource;
  // What they share; its counter, labels apart, is not used.
  PlanAccount shared;
  using Value =
      std::variant<kernel::IpPrefix, kernel::PortRange, kernel::IdRange>;
  struct Member {
    Value value;
    std::string counter;

    friend bool operator==(const Member&, const Member&) = default;
  };
  std::vector<Member> members;

  friend bool operator==(const AccountGroup&, const AccountGroup&) = default;
};

// All that one applier declares under one name.
struct Plan {
  std::string name;  // 1 to 40 of [a-z0-9-]
  kernel::Table table = kernel::Table::kFilter;
  // Of the jumps into its chains.
  kernel::RulePlacement placement = kernel::RulePlacement::kHead;
  std::vector<AddressClass> classes;
  std::vector<PlanAccount> accounts;
  std::vector<AccountGroup> groups;

  friend bool operator==(const Plan&, const Plan&) = default;
};

// The counter of one class of a split account: "web.internal".
std::string ClassCounter(absl::string_view counter,
                         absl::string_view class_name);

// All counters of an account: its own, or one a class.
std::vector<std::string> CountersOf(const Plan& plan,
                                    const PlanAccount& account);

// Packets over a quota of the plan are dropped, rejected or marked.
bool Decides(const Plan& plan);

// What the names of a plan's chains begin with, behind
// kernel::kOwnedChainPrefix: "1a2b3c4d-", a hash of the plan's name.
std::string OwnerOfChains(absl::string_view plan_name);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_H_
