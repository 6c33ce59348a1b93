// SPDX-License-Identifier: GPL-3.0-or-later
// Rules <-> the kernel's x_tables entries (struct ipt_entry, struct ip6t_entry
// with their matches and target). Pure: no system calls, but for what the
// IpSetIndex given to it does.
//
// An entry is: the IP part (addresses, interfaces, protocol, flags), a row of
// matches, a target; see linux/netfilter_ipv4/ip_tables.h, x_tables.h and the
// xt_*.h of each match. The layout is that of the running architecture.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_CODEC_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// ipsets by name and by index: entries hold indexes, people names.
class IpSetIndex {
 public:
  virtual ~IpSetIndex() = default;
  // NOT_FOUND: no such set.
  virtual absl::StatusOr<uint16_t> IndexOf(absl::string_view name) = 0;
  virtual absl::StatusOr<std::string> NameOf(uint16_t index) = 0;
};

// What an entry says, without what only its table knows (chain, position).
struct DecodedEntry {
  RuleMatch match;      // the comment without our mark
  std::string id;       // empty: not ours
  std::string counter;  // empty: neither nfacct match nor NFACCT target
  CountingForm form = CountingForm::kMatch;  // with a counter
  std::vector<std::string> other_counters;   // of further ones
  Verdict verdict = Verdict::kContinue;
  std::vector<std::string> other_matches;
  // As iptables-save prints it, without "-A CHAIN" and without the target:
  // " -s 10.0.0.0/8 -p tcp -m tcp --sport 80", with a leading space or empty.
  std::string match_text;
  // Targets other than ACCEPT, DROP, RETURN, QUEUE and chains: the options as
  // iptables-save prints them, or their count of bytes in square brackets.
  std::string target_options;
  // What iptables-save calls the target where that is not its name: NOTRACK for
  // a kind of CT. Usually empty.
  std::string target_alias;
  bool goto_chain = false;  // -g instead of -j
};

// The entry for a validated rule: bytes ready for libiptc (aligned, offsets
// set, target filled in as libiptc wants it for its verdict; no verdict: an
// empty target name; or the NFACCT target). The comment match carries the id
// (see RuleMark()). NOT_FOUND: no such ipset. INVALID_ARGUMENT: this family
// can't express it.
absl::StatusOr<std::vector<uint8_t>> EncodeEntry(Family family,
                                                 const RuleSpec& rule,
                                                 IpSetIndex& sets);

// The entry for a rule of an owned chain: as EncodeEntry(), without a comment
// of ours, and with what owned rules do.
absl::StatusOr<std::vector<uint8_t>> EncodeOwnedEntry(Family family,
                                                      const OwnedRule& rule,
                                                      IpSetIndex& sets);

// Where the rule's own counter starts once the entry is inserted.
void SetEntryCounters(Family family, uint64_t packets, uint64_t bytes,
                      std::vector<uint8_t>& entry);

// Reads an entry of the kernel's. `target_name` is what libiptc says of its
// target (iptc_get_target), as the bytes alone don't tell the chain of a jump.
// INVALID_ARGUMENT: the bytes are not a well-formed entry; nothing outside the
// span is read.
absl::StatusOr<DecodedEntry> DecodeEntry(Family family,
                                         absl::Span<const uint8_t> entry,
                                         absl::string_view target_name,
                                         IpSetIndex& sets);

// A copy of an entry of the kernel's that counts into another counter: ready
// for libiptc, with the counters that it had. `target_name` as in
// DecodeEntry(). INVALID_ARGUMENT: it is not well-formed, or does not count
// into `from`.
struct Recount {
  absl::string_view from;
  absl::string_view to;
};
absl::StatusOr<std::vector<uint8_t>> RecountedEntry(
    Family family, absl::Span<const uint8_t> entry,
    absl::string_view target_name, const Recount& recount);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_CODEC_H_
