// SPDX-License-Identifier: Apache-2.0
#include "cli/match_flags.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/escapes.h"
#include "cli/match_values.h"
#include "client/src/words.h"
#include "google/protobuf/descriptor.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::FieldDescriptor;
using Values = absl::Span<const std::string>;

// Puts a parsed value where it belongs, or returns why it could not be parsed.
template <typename T, typename Put>
absl::Status Assign(const absl::StatusOr<T>& value, Put put) {
  if (!value.ok()) return value.status();
  put(*value);
  return absl::OkStatus();
}

absl::Status ParseAddress(absl::string_view text, std::string* field) {
  // The server knows what an address is; here only what would mean something
  // else on the way there.
  if (text.empty() || absl::StartsWith(text, "!")) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not an address; to turn a match around ",
                     "write --not-src or --not-dst"));
  }
  *field = std::string(text);
  return absl::OkStatus();
}

absl::Status NotEmpty(absl::string_view text, std::string* field) {
  if (text.empty()) return absl::InvalidArgumentError("the value is empty");
  *field = std::string(text);
  return absl::OkStatus();
}

constexpr MatchFlag kFlags[] = {
    {"protocol", "protocol", ",-p,--proto", "NAME",
     "tcp, udp, udplite, sctp, dccp, icmp, icmpv6, esp, ah, gre, ... or a "
     "number from 1 to 255",
     "tcp udp udplite sctp dccp icmp icmpv6 esp ah gre",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_protocol());
     },
     [](const v1::RuleMatch& m) { return m.protocol(); }},
    {"src", "source", ",-s,--source", "CIDR",
     "source address, 10.0.0.0/8 or fd00::/8", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddress(v[0], m.mutable_source());
     },
     [](const v1::RuleMatch& m) { return m.source(); }},
    {"dst", "destination", ",-d,--destination", "CIDR", "destination address",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddress(v[0], m.mutable_destination());
     },
     [](const v1::RuleMatch& m) { return m.destination(); }},
    {"sport", "source_ports", ",--sports,--source-port", "PORTS",
     "source ports: 80 or 80,443,1000:2000 or names of services", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParsePorts(v[0], *m.mutable_source_ports());
     },
     [](const v1::RuleMatch& m) { return FormatPorts(m.source_ports()); }},
    {"dport", "destination_ports", ",--dports,--destination-port", "PORTS",
     "destination ports", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParsePorts(v[0], *m.mutable_destination_ports());
     },
     [](const v1::RuleMatch& m) { return FormatPorts(m.destination_ports()); }},
    {"in", "in_interface", ",-i,--in-interface", "NAME",
     "interface that it came in by; eth+ is all that begin with eth", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_in_interface());
     },
     [](const v1::RuleMatch& m) { return m.in_interface(); }},
    {"out", "out_interface", ",--out-interface", "NAME",
     "interface that it goes out by (-o is --output)", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_out_interface());
     },
     [](const v1::RuleMatch& m) { return m.out_interface(); }},
    {"icmp-type", "icmp", ",--icmpv6-type", "TYPE",
     "ICMP type 8, type and code 3/1, or a name such as echo-request", "",
     [](Values v, bool ipv6, v1::RuleMatch& m) {
       return Assign(ParseIcmp(v[0], ipv6),
                     [&](const auto& icmp) { *m.mutable_icmp() = icmp; });
     },
     [](const v1::RuleMatch& m) { return FormatIcmp(m.icmp()); }},
    {"ctstate", "conntrack_states", ",--state", "STATES",
     "states of connection tracking: NEW,ESTABLISHED,RELATED,INVALID,"
     "UNTRACKED,SNAT,DNAT",
     "NEW ESTABLISHED RELATED INVALID UNTRACKED SNAT DNAT",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseEnums(v1::ConntrackState_descriptor(), v[0],
                         *m.mutable_conntrack_states());
     },
     [](const v1::RuleMatch& m) {
       return FormatEnums(v1::ConntrackState_descriptor(),
                          m.conntrack_states());
     }},
    {"mark", "mark", "", "VALUE[/MASK]", "mark of the packet: 0x1 or 0x1/0xff",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseMark(v[0]),
                     [&](const auto& mark) { *m.mutable_mark() = mark; });
     },
     [](const v1::RuleMatch& m) { return FormatMark(m.mark()); }},
    {"uid-owner", "owner_uid", "", "UID",
     "user of the sending socket: a number, a range 1000-1999, or a name "
     "of this machine",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseId(v[0], IdKind::kUser),
                     [&](const auto& id) { *m.mutable_owner_uid() = id; });
     },
     [](const v1::RuleMatch& m) { return FormatId(m.owner_uid()); }},
    {"gid-owner", "owner_gid", "", "GID", "its group", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseId(v[0], IdKind::kGroup),
                     [&](const auto& id) { *m.mutable_owner_gid() = id; });
     },
     [](const v1::RuleMatch& m) { return FormatId(m.owner_gid()); }},
    {"cgroup", "cgroup_path", ",--path", "PATH",
     "cgroup of the sending socket: system.slice/nginx.service", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_cgroup_path());
     },
     [](const v1::RuleMatch& m) { return m.cgroup_path(); }},
    {"match-set", "ip_set", "", "NAME DIRECTIONS",
     "in this ipset: --match-set vips src,dst", "",
     [](Values v, bool, v1::RuleMatch& m) {
       m.mutable_ip_set()->set_name(v[0]);
       return ParseDirections(v[1], *m.mutable_ip_set());
     },
     [](const v1::RuleMatch& m) { return FormatIpSet(m.ip_set()); }},
    {"dscp", "dscp", ",--dscp-class", "DSCP",
     "0 to 63, or a class: CS1, AF41, EF", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseDscp(v[0]), [&](uint32_t d) { m.set_dscp(d); });
     },
     [](const v1::RuleMatch& m) { return absl::StrCat(m.dscp()); }},
    {"pkt-type", "packet_type", "", "TYPE", "unicast, broadcast or multicast",
     "unicast broadcast multicast",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseEnum(v1::PacketType_descriptor(), v[0]), [&](int t) {
         m.set_packet_type(static_cast<v1::PacketType>(t));
       });
     },
     [](const v1::RuleMatch& m) {
       return absl::AsciiStrToLower(EnumWord(m.packet_type()));
     }},
    {"src-type", "source_address_types", "", "TYPES",
     "kinds of the source address in routing: LOCAL,BROADCAST,...",
     "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE "
     "PROHIBIT",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseEnums(v1::AddressType_descriptor(), v[0],
                         *m.mutable_source_address_types());
     },
     [](const v1::RuleMatch& m) {
       return FormatEnums(v1::AddressType_descriptor(),
                          m.source_address_types());
     }},
    {"dst-type", "destination_address_types", "", "TYPES",
     "kinds of the destination address",
     "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE "
     "PROHIBIT",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseEnums(v1::AddressType_descriptor(), v[0],
                         *m.mutable_destination_address_types());
     },
     [](const v1::RuleMatch& m) {
       return FormatEnums(v1::AddressType_descriptor(),
                          m.destination_address_types());
     }},
    {"tcp-flags", "tcp_flags", "", "MASK SET",
     "of the TCP flags MASK exactly SET are set: --tcp-flags SYN,ACK SYN",
     "FIN SYN RST PSH ACK URG ALL NONE",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseTcpFlags(v[0], v[1]),
                     [&](const auto& f) { *m.mutable_tcp_flags() = f; });
     },
     [](const v1::RuleMatch& m) { return FormatTcpFlags(m.tcp_flags()); }},
    {"comment", "comment", "", "TEXT", "a note of yours; matches every packet",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_comment());
     },
     [](const v1::RuleMatch& m) { return m.comment(); }},
};

bool IsIpv6Protocol(absl::string_view protocol) {
  return absl::EqualsIgnoreCase(protocol, "icmpv6") ||
         absl::EqualsIgnoreCase(protocol, "ipv6-icmp") || protocol == "58";
}

std::string FlagName(const MatchArgument& argument) {
  return absl::StrCat(argument.negated ? "--not-" : "--", argument.flag->name);
}

bool IsSet(const v1::RuleMatch& match, const FieldDescriptor& field) {
  return field.is_repeated()
             ? match.GetReflection()->FieldSize(match, &field) > 0
             : match.GetReflection()->HasField(match, &field);
}

const FieldDescriptor* FindField(absl::string_view name) {
  return v1::RuleMatch::descriptor()->FindFieldByName(std::string(name));
}

// Of "source": not_source. Null: it has no negation.
const FieldDescriptor* FindNegation(const MatchFlag& flag) {
  return FindField(absl::StrCat("not_", flag.field));
}

const MatchFlag* FindFlag(absl::string_view name) {
  const auto* flag = absl::c_find_if(
      kFlags,
      [name](const MatchFlag& candidate) { return candidate.name == name; });
  return flag == std::end(kFlags) ? nullptr : flag;
}

std::string Describe(const v1::RuleMatch& match, bool exact) {
  std::vector<std::string> words;
  for (const MatchFlag& flag : kFlags) {
    if (flag.name == "comment" || !IsSet(match, *FindField(flag.field))) {
      continue;
    }
    const FieldDescriptor* negation = FindNegation(flag);
    const bool negated = negation != nullptr && IsSet(match, *negation);
    std::string value = flag.format(match);
    if (exact && ValueCount(flag) == 1) value = EscapeBytes(value, " ");
    // A protocol needs no word before it.
    words.push_back(absl::StrCat(
        flag.name == "protocol" ? "" : absl::StrCat(flag.name, " "),
        negated ? "!" : "", value));
  }
  return absl::StrJoin(words, " ");
}

}  // namespace

size_t ValueCount(const MatchFlag& flag) {
  return absl::StrContains(flag.values, ' ') ? 2 : 1;
}

absl::Span<const MatchFlag> MatchFlags() { return kFlags; }

bool HasNegation(const MatchFlag& flag) {
  return FindNegation(flag) != nullptr;
}

absl::StatusOr<v1::RuleMatch> ParseMatch(
    absl::Span<const MatchArgument> arguments, bool ipv6) {
  for (const MatchArgument& argument : arguments) {
    if (argument.flag->name == "protocol" && !argument.values.empty()) {
      ipv6 = ipv6 || IsIpv6Protocol(argument.values[0]);
    }
  }
  v1::RuleMatch match;
  std::vector<const MatchFlag*> seen;
  for (const MatchArgument& argument : arguments) {
    if (absl::c_linear_search(seen, argument.flag)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--", argument.flag->name, " and its --not-", argument.flag->name,
          " can be given once, not twice or together"));
    }
    seen.push_back(argument.flag);
    const absl::Status status =
        argument.flag->parse(argument.values, ipv6, match);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(FlagName(argument), ": ",
                                                      status.message()));
    }
    if (argument.negated) {
      match.GetReflection()->SetBool(&match, FindNegation(*argument.flag),
                                     true);
    }
  }
  return match;
}

std::string DescribeMatch(const v1::RuleMatch& match) {
  return Describe(match, /*exact=*/false);
}

std::string MatchText(const v1::RuleMatch& match) {
  return Describe(match, /*exact=*/true);
}

absl::StatusOr<v1::RuleMatch> ParseMatchText(absl::string_view text,
                                             bool ipv6) {
  std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  if (!words.empty() && FindFlag(words[0]) == nullptr) {
    words.insert(words.begin(), "protocol");
  }
  std::vector<MatchArgument> arguments;
  for (size_t i = 0; i < words.size();) {
    MatchArgument argument{.flag = FindFlag(words[i++])};
    if (argument.flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", words[i - 1], "' is no match of nfmeter's"));
    }
    const size_t end = i + ValueCount(*argument.flag);
    if (end > words.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", argument.flag->name, "' has no value"));
    }
    argument.negated = absl::StartsWith(words[i], "!");
    if (argument.negated) words[i].erase(0, 1);
    for (; i < end; ++i) argument.values.push_back(UnescapeBytes(words[i]));
    arguments.push_back(std::move(argument));
  }
  return ParseMatch(arguments, ipv6);
}

std::string FamilyName(v1::Family family) {
  if (family == v1::FAMILY_IPV4) return "ipv4";
  if (family == v1::FAMILY_IPV6) return "ipv6";
  return "";
}

absl::StatusOr<v1::Family> ParseFamily(absl::string_view name) {
  for (const auto family :
       {v1::FAMILY_UNSPECIFIED, v1::FAMILY_IPV4, v1::FAMILY_IPV6}) {
    if (name == FamilyName(family)) return family;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is none of ipv4, ipv6"));
}

std::string VerdictName(v1::Verdict verdict) {
  return verdict == v1::VERDICT_UNSPECIFIED
             ? "continue"
             : absl::AsciiStrToLower(EnumWord(verdict));
}

absl::StatusOr<v1::Verdict> ParseVerdict(absl::string_view name) {
  if (name.empty()) return v1::VERDICT_UNSPECIFIED;
  for (const auto verdict : {v1::VERDICT_CONTINUE, v1::VERDICT_ACCEPT,
                             v1::VERDICT_DROP, v1::VERDICT_RETURN}) {
    if (name == VerdictName(verdict)) return verdict;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is none of continue, accept, drop, return"));
}

}  // namespace nfmeter::cli
