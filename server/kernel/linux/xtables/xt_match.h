// SPDX-License-Identifier: GPL-3.0-or-later
// What the codec knows of one kind of match, and the groups of kinds.
//
// Each group has a file xt_GROUP_matches.cc: a table of its kinds for reading
// and printing, and a function that appends the matches a rule needs. Ports
// have a file for each pair of protocols (xt_ports.h). The codec (xt_codec.cc)
// strings the groups together.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_MATCH_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_MATCH_H_

#include <linux/netfilter/x_tables.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The match that counts, in the one revision that rules are made with: of Linux
// 5.4, whose struct has a place of its own for what the kernel keeps in it.
inline constexpr absl::string_view kAcctMatch = "nfacct";
inline constexpr uint8_t kAcctMatchRevision = 1;

// What a match may need to know of the entry that it is in.
struct MatchContext {
  Family family;
  uint8_t protocol;  // 0: any, or all but one
  IpSetIndex& sets;
};

// A kind of match or target: a name and revision of the kernel's with its
// struct. A table row; all pointers are to functions without state.
struct ExtensionKind {
  absl::string_view name;
  uint8_t revision = 0;
  std::optional<Family> family;  // nullopt: both
  size_t size = 0;               // of the kernel's struct

  // Appends what iptables-save prints after its name. `info` has `size` bytes
  // of any alignment.
  void (*print)(const MatchContext& context, const uint8_t* info,
                std::string& text) = nullptr;

  // Adds the conditions to `out.match`. False: there are some that RuleMatch
  // has no place for, or a place that is taken; those it leaves out. Null:
  // RuleMatch knows nothing of this kind.
  bool (*decode)(const MatchContext& context, const uint8_t* info,
                 DecodedEntry& out) = nullptr;

  // The name that iptables-save prints where it is not `name`. Null: it is.
  absl::string_view (*shown_name)(const uint8_t* info) = nullptr;

  // Whether it is one of this revision and family, whose struct the kernel has
  // aligned to so many bytes.
  bool Fits(uint8_t its_revision, Family its_family, size_t aligned) const {
    return its_revision == revision &&
           family.value_or(its_family) == its_family &&
           aligned == XT_ALIGN(size);
  }
};

// A copy of the kernel's struct at `bytes`, which may be unaligned.
template <typename Info>
Info LoadInfo(const uint8_t* bytes) {
  Info info;
  memcpy(&info, bytes, sizeof(info));
  return info;
}

// A row from functions that take the kernel's struct itself.
template <auto print>
struct PrintOf;
template <typename Info,
          void (*print)(const MatchContext&, const Info&, std::string&)>
struct PrintOf<print> {
  using InfoType = Info;
  static void Call(const MatchContext& context, const uint8_t* info,
                   std::string& text) {
    print(context, LoadInfo<Info>(info), text);
  }
};
template <auto decode>
struct DecodeOf;
template <typename Info,
          bool (*decode)(const MatchContext&, const Info&, DecodedEntry&)>
struct DecodeOf<decode> {
  static bool Call(const MatchContext& context, const uint8_t* info,
                   DecodedEntry& out) {
    return decode(context, LoadInfo<Info>(info), out);
  }
};

template <auto print>
constexpr ExtensionKind PrintedKind(
    absl::string_view name, uint8_t revision,
    std::optional<Family> family = std::nullopt) {
  ExtensionKind kind;
  kind.name = name;
  kind.revision = revision;
  kind.family = family;
  kind.size = sizeof(typename PrintOf<print>::InfoType);
  kind.print = PrintOf<print>::Call;
  return kind;
}
template <auto print, auto decode>
constexpr ExtensionKind KnownKind(absl::string_view name, uint8_t revision,
                                  std::optional<Family> family = std::nullopt) {
  ExtensionKind kind = PrintedKind<print>(name, revision, family);
  kind.decode = DecodeOf<decode>::Call;
  return kind;
}

// Sets a condition that was not there yet; false if it was.
template <typename T>
bool SetOnce(std::optional<Negatable<T>>& field, T value, bool negated) {
  if (field.has_value()) return false;
  field = Negatable<T>{std::move(value), negated};
  return true;
}

// The bytes of an entry under construction: matches after the IP part.
class MatchWriter {
 public:
  // `bytes` already holds the IP part; must outlive this.
  explicit MatchWriter(std::vector<uint8_t>& bytes) : bytes_(bytes) {}

  // `Info` is the kernel's struct for this name and revision.
  template <typename Info>
  void Append(absl::string_view name, uint8_t revision, const Info& info) {
    AppendBytes(name, revision, &info, sizeof(info));
  }

 private:
  void AppendBytes(absl::string_view name, uint8_t revision, const void* info,
                   size_t size);

  std::vector<uint8_t>& bytes_;
};

// Appends a target. `info` is the kernel's struct for this name and revision.
template <typename Info>
void AppendTarget(absl::string_view name, uint8_t revision, const Info& info,
                  std::vector<uint8_t>& bytes) {
  xt_entry_target header{};
  const size_t total = sizeof(header) + XT_ALIGN(sizeof(info));
  header.u.user.target_size = static_cast<uint16_t>(total);
  header.u.user.revision = revision;
  memcpy(header.u.user.name, name.data(), name.size());
  const size_t start = bytes.size();
  bytes.resize(start + total);
  memcpy(&bytes[start], &header, sizeof(header));
  memcpy(&bytes[start + sizeof(header)], &info, sizeof(info));
}
// A verdict, as libiptc wants it: it looks for "ACCEPT", "DROP", "RETURN" or
// the name of a chain, and turns it into a number; an empty name goes on
// (iptcc_map_target()).
inline void AppendVerdict(absl::string_view name, std::vector<uint8_t>& bytes) {
  AppendTarget(name, 0, int{0}, bytes);
}

// The error for a rule that x_tables can't express. `why` is a sentence;
// `field` is what is wrong of the rule, where people can't know that from the
// laws of rules.
absl::Status NotExpressible(absl::string_view why,
                            absl::string_view field = "");
// The error for a counter that can't be, see IsAcctName().
absl::Status NotACounter();

// The groups. Each Append... adds the matches for its part of the rule, none if
// the rule has no such condition.

// tcp, udp, sctp, dccp, multiport. Their kinds are in xt_ports.h.
absl::Status AppendPortMatches(const MatchContext& context,
                               const RuleMatch& match, MatchWriter& out);

// icmp, icmp6.
absl::Span<const ExtensionKind> IcmpMatchKinds();
absl::Status AppendIcmpMatch(const MatchContext& context,
                             const RuleMatch& match, MatchWriter& out);

// mark, dscp, pkttype, addrtype.
absl::Span<const ExtensionKind> PacketMatchKinds();
absl::Status AppendPacketMatches(const MatchContext& context,
                                 const RuleMatch& match, MatchWriter& out);

// conntrack, also under its other name state.
absl::Span<const ExtensionKind> ConntrackMatchKinds();
absl::Status AppendConntrackMatch(const MatchContext& context,
                                  const RuleMatch& match, MatchWriter& out);

// owner, cgroup: who sent the packet.
absl::Span<const ExtensionKind> OriginMatchKinds();
absl::Status AppendOriginMatches(const MatchContext& context,
                                 const RuleMatch& match, MatchWriter& out);

// set.
absl::Span<const ExtensionKind> SetMatchKinds();
absl::Status AppendSetMatch(const MatchContext& context, const RuleMatch& match,
                            MatchWriter& out);

// comment, nfacct, in this order and last of all: what is counted has passed
// every other condition. No nfacct where the target counts.
absl::Span<const ExtensionKind> AccountMatchKinds();
absl::Status AppendAccountMatches(const MatchContext& context,
                                  const RuleSpec& rule, MatchWriter& out);
// The same of a rule of an owned chain: no mark, a comment only if it has one.
absl::Status AppendOwnedMatches(const OwnedRule& rule, MatchWriter& out);

// Matches of others, which are only printed: limit, iprange, length, ...
absl::Span<const ExtensionKind> ForeignMatchKinds();

// Targets beside verdicts and chains, nearly all of others: LOG, REJECT, ...
// Null: it is none of those that we know. `aligned` as in Fits().
const ExtensionKind* FindTargetKind(absl::string_view name, uint8_t revision,
                                    Family family, size_t aligned);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_MATCH_H_
