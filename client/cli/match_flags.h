// SPDX-License-Identifier: Apache-2.0
// The flags of `nfmeter rule add` that say which packets a rule counts, with
// the names that iptables gives them, and the way back from a RuleMatch to
// text.
#ifndef NFMETER_CLI_MATCH_FLAGS_H_
#define NFMETER_CLI_MATCH_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {

// One property of packets: --src and --not-src, say.
struct MatchFlag {
  absl::string_view name;     // "src": --src
  absl::string_view field;    // "source": of RuleMatch, with "not_source"
  absl::string_view aliases;  // ",-s,--source" behind it, for the parser
  absl::string_view values;   // "CIDR"; two words: the flag takes two values
  absl::string_view help;
  // Values to complete, separated by spaces; may be empty.
  absl::string_view choices;
  // Puts the values of the flag into `match`. INVALID_ARGUMENT with a sentence
  // when they are wrong.
  absl::Status (*parse)(absl::Span<const std::string> values, bool ipv6,
                        v1::RuleMatch& match);
  // The way back: the values of a match that has the property, as text.
  std::string (*format)(const v1::RuleMatch& match);
};

// All of them, in the order in which help shows them. Static.
absl::Span<const MatchFlag> MatchFlags();

// How many values it takes: 1 or 2.
size_t ValueCount(const MatchFlag& flag);

// Whether there is a --not- form, too: of all but comments.
bool HasNegation(const MatchFlag& flag);

// What the command line gave for one flag.
struct MatchArgument {
  const MatchFlag* flag = nullptr;
  bool negated = false;
  std::vector<std::string> values;
};

// Puts all arguments into one RuleMatch. INVALID_ARGUMENT names the flag: a
// value is wrong, or a flag is given twice or with its own negation. `ipv6`
// decides what ICMP names mean; a protocol among the arguments does, too.
absl::StatusOr<v1::RuleMatch> ParseMatch(
    absl::Span<const MatchArgument> arguments, bool ipv6);

// The match in one line, for tables: "tcp src !10.0.0.0/8 sport 80". Empty
// when every packet matches. The comment is left out.
std::string DescribeMatch(const v1::RuleMatch& match);

// The same for ParseMatchText(): blanks and backslashes in values as \xHH.
std::string MatchText(const v1::RuleMatch& match);

// The way back. INVALID_ARGUMENT: a word is no flag, or its value is wrong.
absl::StatusOr<v1::RuleMatch> ParseMatchText(absl::string_view text, bool ipv6);

// "ipv4", "drop" and the like.
std::string FamilyName(v1::Family family);
std::string VerdictName(v1::Verdict verdict);
// The way back; empty is UNSPECIFIED. INVALID_ARGUMENT: no such name.
absl::StatusOr<v1::Family> ParseFamily(absl::string_view name);
absl::StatusOr<v1::Verdict> ParseVerdict(absl::string_view name);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_MATCH_FLAGS_H_
