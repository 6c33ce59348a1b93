// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_codec.h"

#include <linux/netfilter/nfnetlink_acct.h>
#include <string.h>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"
#include "kernel/linux/xtables/xt_acct_target.h"
#include "kernel/linux/xtables/xt_ip_part.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_owned_target.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {

void MatchWriter::AppendBytes(absl::string_view name, uint8_t revision,
                              const void* info, size_t size) {
  xt_entry_match header{};
  const size_t total = XT_ALIGN(sizeof(header) + size);
  header.u.user.match_size = static_cast<uint16_t>(total);
  memcpy(header.u.user.name, name.data(), name.size());
  header.u.user.revision = revision;
  const size_t start = bytes_.size();
  bytes_.resize(start + total);
  memcpy(&bytes_[start], &header, sizeof(header));
  memcpy(&bytes_[start + sizeof(header)], info, size);
}

absl::Status NotExpressible(absl::string_view why, absl::string_view field) {
  ErrorDetails details{.reason = "RULE_NOT_EXPRESSIBLE"};
  if (!field.empty()) {
    details.violations = {
        {.field = std::string(field), .description = std::string(why)}};
  }
  return MakeError(absl::StatusCode::kInvalidArgument, why, std::move(details));
}

absl::Status NotACounter() {
  return NotExpressible(absl::StrCat("a counter's name has 1 to ",
                                     kAcctNameMaxBytes, " bytes and no NUL"));
}

namespace {

// The kernel puts match structs right behind their headers.
static_assert(sizeof(xt_entry_match) % alignof(_xt_align) == 0);
static_assert(sizeof(xt_entry_target) % alignof(_xt_align) == 0);

absl::Status Malformed(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "MALFORMED_ENTRY",
      absl::StrCat("not a well-formed rule of the kernel's: ", what));
}

// Encoding

absl::Status AppendRuleTarget(const RuleSpec& rule,
                              std::vector<uint8_t>& bytes) {
  if (rule.form == CountingForm::kTarget) return AppendAcctTarget(rule, bytes);
  if (rule.verdict == Verdict::kOther) {
    return NotExpressible(
        "a rule of ours continues, accepts, drops or returns");
  }
  AppendVerdict(TargetName(rule.verdict, rule.form), bytes);
  return absl::OkStatus();
}

// The order is that of cost, cheapest first; comment and nfacct come last.
absl::Status AppendMatches(const MatchContext& context, const RuleMatch& match,
                           MatchWriter& writer) {
  using Append =
      absl::Status (*)(const MatchContext&, const RuleMatch&, MatchWriter&);
  static constexpr Append kGroups[] = {
      AppendPortMatches,    AppendIcmpMatch,     AppendPacketMatches,
      AppendConntrackMatch, AppendOriginMatches, AppendSetMatch,
  };
  for (const Append append : kGroups) {
    NFM_RETURN_IF_ERROR(append(context, match, writer));
  }
  return absl::OkStatus();
}

// What an entry ends with, beside the conditions of its match.
struct EntryEnd {
  absl::FunctionRef<absl::Status(const MatchContext&, MatchWriter&)>
      append_account;
  absl::FunctionRef<absl::Status(std::vector<uint8_t>&)> append_target;
};

template <typename Entry, typename Ip>
absl::StatusOr<std::vector<uint8_t>> Encode(const MatchContext& context,
                                            const RuleMatch& match, Entry entry,
                                            Ip Entry::*ip,
                                            const EntryEnd& end) {
  NFM_RETURN_IF_ERROR(EncodeIpPart(match, entry.*ip));
  std::vector<uint8_t> bytes(sizeof(entry));
  MatchWriter writer(bytes);
  NFM_RETURN_IF_ERROR(AppendMatches(context, match, writer));
  NFM_RETURN_IF_ERROR(end.append_account(context, writer));
  entry.target_offset = static_cast<uint16_t>(bytes.size());
  NFM_RETURN_IF_ERROR(end.append_target(bytes));
  entry.next_offset = static_cast<uint16_t>(bytes.size());
  memcpy(bytes.data(), &entry, sizeof(entry));
  return bytes;
}

absl::StatusOr<std::vector<uint8_t>> EncodeFor(Family family,
                                               const RuleMatch& match,
                                               IpSetIndex& sets,
                                               const EntryEnd& end) {
  const auto& protocol = match.protocol;
  const MatchContext context = {
      family,
      protocol.has_value() && !protocol->negated ? protocol->value : uint8_t{0},
      sets};
  return family == Family::kIpv4
             ? Encode(context, match, ipt_entry{}, &ipt_entry::ip, end)
             : Encode(context, match, ip6t_entry{}, &ip6t_entry::ipv6, end);
}

// Decoding

// Every kind of match by name, in both families and all revisions.
using KindTable =
    absl::flat_hash_map<absl::string_view, std::vector<const ExtensionKind*>>;

const KindTable& AllKinds() {
  static const KindTable& table = *[] {
    auto* kinds = new KindTable;
    for (absl::Span<const ExtensionKind> group :
         {TcpMatchKinds(), SctpMatchKinds(), MultiportMatchKinds(),
          IcmpMatchKinds(), PacketMatchKinds(), ConntrackMatchKinds(),
          OriginMatchKinds(), SetMatchKinds(), AccountMatchKinds(),
          ForeignMatchKinds()}) {
      for (const ExtensionKind& kind : group)
        (*kinds)[kind.name].push_back(&kind);
    }
    return kinds;
  }();
  return table;
}

// A match or target as it lies in an entry; views into the entry's bytes.
struct Part {
  absl::string_view name;
  uint8_t revision = 0;
  absl::Span<const uint8_t> info;
  size_t size = 0;  // header included
};

// The kind of this match, or null. Another size than the kernel's own for the
// kind makes it a stranger, too.
const ExtensionKind* FindKind(Family family, const Part& match) {
  const auto found = AllKinds().find(match.name);
  if (found == AllKinds().end()) return nullptr;
  for (const ExtensionKind* kind : found->second) {
    if (kind->Fits(match.revision, family, match.info.size())) return kind;
  }
  return nullptr;
}

// xt_entry_match and xt_entry_target have the same header.
static_assert(sizeof(xt_entry_match) == sizeof(xt_entry_target));

// Reads the part that starts at `bytes`, which end where it must at the latest.
absl::StatusOr<Part> ReadPart(absl::Span<const uint8_t> bytes,
                              absl::string_view what) {
  xt_entry_match header;
  if (bytes.size() < sizeof(header)) {
    return Malformed(absl::StrCat(what, " is cut short"));
  }
  memcpy(&header, bytes.data(), sizeof(header));
  const size_t size = header.u.user.match_size;
  if (size < sizeof(header) || size > bytes.size()) {
    return Malformed(absl::StrCat(what, " says that it has ", size,
                                  " bytes of ", bytes.size()));
  }
  const char* name = reinterpret_cast<const char*>(bytes.data()) +
                     offsetof(xt_entry_match, u.user.name);
  const size_t name_size = strnlen(name, sizeof(header.u.user.name));
  if (name_size == sizeof(header.u.user.name)) {
    return Malformed(absl::StrCat(what, " has a name without an end"));
  }
  Part part;
  part.name = absl::string_view(name, name_size);
  part.revision = header.u.user.revision;
  part.info = bytes.subspan(sizeof(header), size - sizeof(header));
  part.size = size;
  return part;
}

void DecodeMatch(const MatchContext& context, const Part& match,
                 DecodedEntry& out) {
  const ExtensionKind* kind = FindKind(context.family, match);
  if (kind == nullptr) {
    absl::StrAppend(&out.match_text, " -m ", match.name, " [",
                    match.info.size(), " bytes]");
    out.other_matches.push_back(std::string(match.name));
    return;
  }
  const uint8_t* info = match.info.data();
  const absl::string_view name =
      kind->shown_name == nullptr ? match.name : kind->shown_name(info);
  absl::StrAppend(&out.match_text, " -m ", name);
  kind->print(context, info, out.match_text);
  if (kind->decode == nullptr || !kind->decode(context, info, out)) {
    out.other_matches.push_back(std::string(name));
  }
}

void DecodeTarget(const MatchContext& context, const Part& target,
                  DecodedEntry& out) {
  const uint8_t* info = target.info.data();
  const ExtensionKind* kind = FindTargetKind(
      target.name, target.revision, context.family, target.info.size());
  if (kind == nullptr) {
    if (target.info.empty()) return;
    out.target_options = absl::StrCat(" [", target.info.size(), " bytes]");
    return;
  }
  kind->print(context, info, out.target_options);
  if (kind->shown_name != nullptr) {
    out.target_alias = std::string(kind->shown_name(info));
  }
  if (kind->decode != nullptr) kind->decode(context, info, out);
}

Verdict VerdictOf(absl::string_view target_name) {
  if (target_name.empty()) return Verdict::kContinue;
  if (target_name == "ACCEPT") return Verdict::kAccept;
  if (target_name == "DROP") return Verdict::kDrop;
  if (target_name == "RETURN") return Verdict::kReturn;
  return Verdict::kOther;
}

template <typename Entry, typename Ip>
absl::StatusOr<DecodedEntry> Decode(Family family,
                                    absl::Span<const uint8_t> bytes,
                                    absl::string_view target_name,
                                    IpSetIndex& sets, Ip Entry::*ip) {
  Entry entry;
  if (bytes.size() < sizeof(entry)) return Malformed("it is cut short");
  memcpy(&entry, bytes.data(), sizeof(entry));
  if (entry.target_offset < sizeof(entry) ||
      entry.target_offset > entry.next_offset ||
      entry.next_offset > bytes.size()) {
    return Malformed("its offsets point outside of it");
  }
  bytes = bytes.subspan(0, entry.next_offset);

  DecodedEntry out;
  out.match_text.reserve(160);  // most rules need less
  DecodeIpPart(entry.*ip, out);
  const MatchContext context = {
      family,
      out.match.protocol.has_value() && !out.match.protocol->negated
          ? out.match.protocol->value
          : uint8_t{0},
      sets};
  absl::Span<const uint8_t> matches =
      bytes.subspan(sizeof(entry), entry.target_offset - sizeof(entry));
  while (!matches.empty()) {
    NFM_ASSIGN_OR_RETURN(const Part match, ReadPart(matches, "a match"));
    DecodeMatch(context, match, out);
    matches.remove_prefix(match.size);
  }

  NFM_ASSIGN_OR_RETURN(
      const Part target,
      ReadPart(bytes.subspan(entry.target_offset), "the target"));
  out.verdict = VerdictOf(target_name);
  // The kernel's verdicts have no name; those that libiptc is to turn into them
  // have one.
  if (VerdictOf(target.name) == Verdict::kOther) {
    out.goto_chain = false;  // the flag is for chains
    DecodeTarget(context, target, out);
  }
  return out;
}

// Where the names of counters lie in an entry: in nfacct matches and in an
// NFACCT target.
template <typename Entry>
absl::StatusOr<std::vector<size_t>> CounterPlaces(
    absl::Span<const uint8_t> bytes, size_t* target_offset) {
  Entry entry;
  if (bytes.size() < sizeof(entry)) return Malformed("it is cut short");
  memcpy(&entry, bytes.data(), sizeof(entry));
  if (entry.target_offset < sizeof(entry) ||
      entry.target_offset > bytes.size()) {
    return Malformed("its offsets point outside of it");
  }
  std::vector<size_t> places;
  for (size_t at = sizeof(entry); at < entry.target_offset;) {
    NFM_ASSIGN_OR_RETURN(
        const Part match,
        ReadPart(bytes.subspan(at, entry.target_offset - at), "a match"));
    if (match.name == kAcctMatch && match.info.size() >= NFACCT_NAME_MAX) {
      places.push_back(at + sizeof(xt_entry_match));
    }
    at += match.size;
  }
  NFM_ASSIGN_OR_RETURN(
      const Part target,
      ReadPart(bytes.subspan(entry.target_offset), "the target"));
  if (target.name == kAcctTarget && target.info.size() >= NFACCT_NAME_MAX) {
    places.push_back(entry.target_offset + sizeof(xt_entry_target));
  }
  *target_offset = entry.target_offset;
  return places;
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> RecountedEntry(
    Family family, absl::Span<const uint8_t> entry,
    absl::string_view target_name, const Recount& recount) {
  if (recount.to.size() >= NFACCT_NAME_MAX) {
    return Malformed("the other counter's name is too long");
  }
  size_t target_offset = 0;
  NFM_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                       family == Family::kIpv4
                           ? CounterPlaces<ipt_entry>(entry, &target_offset)
                           : CounterPlaces<ip6t_entry>(entry, &target_offset));
  std::vector<uint8_t> bytes(entry.begin(), entry.end());
  bool found = false;
  for (const size_t place : places) {
    char* const name = reinterpret_cast<char*>(&bytes[place]);
    if (absl::string_view(name, strnlen(name, NFACCT_NAME_MAX)) !=
        recount.from) {
      continue;
    }
    memset(name, 0, NFACCT_NAME_MAX);
    memcpy(name, recount.to.data(), recount.to.size());
    found = true;
  }
  if (!found) return Malformed("it does not count into that counter");
  // libiptc wants the name of a verdict or chain where the kernel has a number.
  // Of a name the kernel copies out as much as there is (xt_obj_to_user() in
  // net/netfilter/x_tables.c): what is behind "" is anything.
  constexpr size_t kNameSize = sizeof(xt_entry_target{}.u.user.name);
  char* const target = reinterpret_cast<char*>(&bytes[target_offset]) +
                       offsetof(xt_entry_target, u.user.name);
  if (*target == '\0' && target_name.size() < kNameSize) {
    memset(target, 0, kNameSize);
    memcpy(target, target_name.data(), target_name.size());
  }
  return bytes;
}

absl::StatusOr<std::vector<uint8_t>> EncodeEntry(Family family,
                                                 const RuleSpec& rule,
                                                 IpSetIndex& sets) {
  return EncodeFor(family, rule.match, sets,
                   {.append_account =
                        [&](const MatchContext& context, MatchWriter& writer) {
                          return AppendAccountMatches(context, rule, writer);
                        },
                    .append_target =
                        [&](std::vector<uint8_t>& bytes) {
                          return AppendRuleTarget(rule, bytes);
                        }});
}

absl::StatusOr<std::vector<uint8_t>> EncodeOwnedEntry(Family family,
                                                      const OwnedRule& rule,
                                                      IpSetIndex& sets) {
  NFM_ASSIGN_OR_RETURN(
      std::vector<uint8_t> entry,
      EncodeFor(family, rule.match, sets,
                {.append_account =
                     [&](const MatchContext&, MatchWriter& writer) {
                       return AppendOwnedMatches(rule, writer);
                     },
                 .append_target =
                     [&](std::vector<uint8_t>& bytes) {
                       return AppendOwnedTarget(family, rule, bytes);
                     }}));
  if (rule.action == OwnedAction::kGoto) SetGoto(family, entry);
  return entry;
}

void SetEntryCounters(Family family, uint64_t packets, uint64_t bytes,
                      std::vector<uint8_t>& entry) {
  const xt_counters counters = {.pcnt = packets, .bcnt = bytes};
  const size_t offset = family == Family::kIpv4
                            ? offsetof(ipt_entry, counters)
                            : offsetof(ip6t_entry, counters);
  memcpy(entry.data() + offset, &counters, sizeof(counters));
}

absl::StatusOr<DecodedEntry> DecodeEntry(Family family,
                                         absl::Span<const uint8_t> entry,
                                         absl::string_view target_name,
                                         IpSetIndex& sets) {
  return family == Family::kIpv4
             ? Decode(family, entry, target_name, sets, &ipt_entry::ip)
             : Decode(family, entry, target_name, sets, &ip6t_entry::ipv6);
}

}  // namespace nfmeter::kernel
