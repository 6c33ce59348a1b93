// SPDX-License-Identifier: GPL-3.0-or-later
// Values that describe iptables rules, chains and tables, free of the kernel's
// structs and of the API's messages.
#ifndef NFMETER_KERNEL_RULE_TYPES_H_
#define NFMETER_KERNEL_RULE_TYPES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

enum class Family { kIpv4, kIpv6 };
enum class Table { kFilter, kMangle, kRaw, kNat, kSecurity };

inline constexpr std::array kAllFamilies = {Family::kIpv4, Family::kIpv6};
inline constexpr std::array kAllTables = {
    Table::kFilter, Table::kMangle, Table::kRaw, Table::kNat, Table::kSecurity};

// "IPv4", "IPv6".
absl::string_view FamilyName(Family family);
// "filter", "mangle", "raw", "nat", "security".
absl::string_view TableName(Table table);
// The reverse; nullopt for other names.
std::optional<Table> TableFromName(absl::string_view name);

// A condition on a packet, or its negation.
template <typename T>
struct Negatable {
  T value{};
  bool negated = false;

  friend bool operator==(const Negatable&, const Negatable&) = default;
};

// An address under a mask, both in network order; IPv4 uses the first 4 bytes.
// The mask need not be contiguous. Bits of the address outside the mask are 0.
struct IpPrefix {
  Family family = Family::kIpv4;
  std::array<uint8_t, 16> address{};
  std::array<uint8_t, 16> mask{};

  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

// Inclusive.
template <typename T>
struct Range {
  T first = 0;
  T last = 0;

  friend bool operator==(const Range&, const Range&) = default;
};
using PortRange = Range<uint16_t>;
using IdRange = Range<uint32_t>;  // numeric uids or gids

struct Icmp {
  uint8_t type = 0;
  std::optional<uint8_t> code;  // nullopt: any

  friend bool operator==(const Icmp&, const Icmp&) = default;
};

// mark & mask == value.
struct Mark {
  uint32_t value = 0;
  uint32_t mask = 0xffffffff;

  friend bool operator==(const Mark&, const Mark&) = default;
};

// Bits of a set of conntrack states.
enum ConntrackStateBit : uint32_t {
  kCtInvalid = 1 << 0,
  kCtNew = 1 << 1,
  kCtEstablished = 1 << 2,
  kCtRelated = 1 << 3,
  kCtUntracked = 1 << 4,
  kCtSnat = 1 << 5,
  kCtDnat = 1 << 6,
};

enum class IpSetDirection { kSource, kDestination };

struct IpSet {
  std::string name;
  std::vector<IpSetDirection> directions;  // 1 to 6, one a dimension

  friend bool operator==(const IpSet&, const IpSet&) = default;
};

enum class PacketType { kUnicast, kBroadcast, kMulticast };

// Bits of a set of address types (enum in xt_addrtype.h, which are these).
enum AddressTypeBit : uint16_t {
  kAddrUnspec = 1 << 0,
  kAddrUnicast = 1 << 1,
  kAddrLocal = 1 << 2,
  kAddrBroadcast = 1 << 3,
  kAddrAnycast = 1 << 4,
  kAddrMulticast = 1 << 5,
  kAddrBlackhole = 1 << 6,
  kAddrUnreachable = 1 << 7,
  kAddrProhibit = 1 << 8,
};

// Bits are those of the TCP header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
struct TcpFlags {
  uint8_t mask = 0;
  uint8_t set = 0;

  friend bool operator==(const TcpFlags&, const TcpFlags&) = default;
};

// Which packets. Absent conditions match everything. Protocols are numbers
// (IPPROTO_*), 1 to 255.
struct RuleMatch {
  std::optional<Negatable<uint8_t>> protocol;
  std::optional<Negatable<IpPrefix>> source;
  std::optional<Negatable<IpPrefix>> destination;
  std::optional<Negatable<std::string>> in_interface;   // may end in '+'
  std::optional<Negatable<std::string>> out_interface;  // may end in '+'
  std::optional<Negatable<std::vector<PortRange>>> source_ports;
  std::optional<Negatable<std::vector<PortRange>>> destination_ports;
  std::optional<Negatable<Icmp>> icmp;
  std::optional<Negatable<uint32_t>> conntrack_states;  // ConntrackStateBit
  std::optional<Negatable<Mark>> mark;
  std::optional<Negatable<IdRange>> owner_uid;
  std::optional<Negatable<IdRange>> owner_gid;
  std::optional<Negatable<std::string>> cgroup_path;
  std::optional<Negatable<IpSet>> ip_set;
  std::optional<Negatable<uint8_t>> dscp;
  std::optional<Negatable<PacketType>> packet_type;
  std::optional<Negatable<uint16_t>> source_address_types;  // AddressTypeBit
  std::optional<Negatable<uint16_t>> destination_address_types;
  std::optional<Negatable<TcpFlags>> tcp_flags;
  std::string comment;

  friend bool operator==(const RuleMatch&, const RuleMatch&) = default;
};

enum class RulePlacement { kHead, kTail };

enum class Verdict { kContinue, kAccept, kDrop, kReturn, kOther };

// Which part of a rule counts: the nfacct match, or the NFACCT target, whose
// verdict is to continue.
enum class CountingForm { kMatch, kTarget };

// Name of that target.
inline constexpr absl::string_view kAcctTarget = "NFACCT";

// What a rule of ours jumps to, as its target is named: "ACCEPT", "NFACCT",
// ...; empty when it goes on.
absl::string_view TargetName(Verdict verdict, CountingForm form);

// A rule to make. `id` is not empty and in the API's alphabet; `counter` is an
// existing object; `match` has been validated; a form of kTarget comes with a
// counter and the verdict kContinue.
struct RuleSpec {
  std::string id;
  std::string chain;
  RuleMatch match;
  std::string counter;
  Verdict verdict = Verdict::kContinue;
  CountingForm form = CountingForm::kMatch;

  friend bool operator==(const RuleSpec&, const RuleSpec&) = default;
};

// A rule as it is in the kernel, ours or somebody else's.
struct Rule {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  // Ours: as given. Others': '~' and a hash of family, table, chain, text and
  // the number of equal rules before it in the chain.
  std::string id;
  std::string chain;
  RuleMatch match;
  std::string counter;                       // empty: counts into none
  CountingForm form = CountingForm::kMatch;  // with a counter
  // Further counters that a rule of somebody else's counts into.
  std::vector<std::string> other_counters;
  Verdict verdict = Verdict::kContinue;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  bool managed = false;
  std::string text;       // as iptables-save prints it
  std::string target;     // empty, "ACCEPT", "NFACCT", a user chain, ...
  uint32_t position = 0;  // in its chain, from 1
  std::vector<std::string> other_matches;  // not shown by `match`
};

struct Chain {
  std::string name;
  bool builtin = false;
  std::string policy;    // built-in ones: "ACCEPT", "DROP"
  uint64_t packets = 0;  // that got the policy
  uint64_t bytes = 0;
  uint32_t references = 0;
  std::vector<Rule> rules;  // in order
};

// A whole table of one family, in the kernel's order.
struct TableContents {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  std::vector<Chain> chains;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_TYPES_H_
