#include "cli/match_flags.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/match_values.h"

namespace nfmeter::cli {
namespace {

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
    {"protocol", ",-p,--proto", "NAME",
     "tcp, udp, udplite, sctp, dccp, icmp, icmpv6, esp, ah, gre, ... or a "
     "number from 1 to 255",
     "tcp udp udplite sctp dccp icmp icmpv6 esp ah gre",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_protocol());
     },
     [](v1::RuleMatch& m) { m.set_not_protocol(true); }},
    {"src", ",-s,--source", "CIDR", "source address, 10.0.0.0/8 or fd00::/8",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddress(v[0], m.mutable_source());
     },
     [](v1::RuleMatch& m) { m.set_not_source(true); }},
    {"dst", ",-d,--destination", "CIDR", "destination address", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddress(v[0], m.mutable_destination());
     },
     [](v1::RuleMatch& m) { m.set_not_destination(true); }},
    {"sport", ",--sports,--source-port", "PORTS",
     "source ports: 80 or 80,443,1000:2000 or names of services", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParsePorts(v[0], *m.mutable_source_ports());
     },
     [](v1::RuleMatch& m) { m.set_not_source_ports(true); }},
    {"dport", ",--dports,--destination-port", "PORTS", "destination ports", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParsePorts(v[0], *m.mutable_destination_ports());
     },
     [](v1::RuleMatch& m) { m.set_not_destination_ports(true); }},
    {"in", ",-i,--in-interface", "NAME",
     "interface that it came in by; eth+ is all that begin with eth", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_in_interface());
     },
     [](v1::RuleMatch& m) { m.set_not_in_interface(true); }},
    {"out", ",--out-interface", "NAME",
     "interface that it goes out by (-o is --output)", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_out_interface());
     },
     [](v1::RuleMatch& m) { m.set_not_out_interface(true); }},
    {"icmp-type", ",--icmpv6-type", "TYPE",
     "ICMP type 8, type and code 3/1, or a name such as echo-request", "",
     [](Values v, bool ipv6, v1::RuleMatch& m) {
       return Assign(ParseIcmp(v[0], ipv6),
                     [&](const auto& icmp) { *m.mutable_icmp() = icmp; });
     },
     [](v1::RuleMatch& m) { m.set_not_icmp(true); }},
    {"ctstate", ",--state", "STATES",
     "states of connection tracking: NEW,ESTABLISHED,RELATED,INVALID,"
     "UNTRACKED,SNAT,DNAT",
     "NEW ESTABLISHED RELATED INVALID UNTRACKED SNAT DNAT",
     [](Values v, bool, v1::RuleMatch& m) { return ParseStates(v[0], m); },
     [](v1::RuleMatch& m) { m.set_not_conntrack_states(true); }},
    {"mark", "", "VALUE[/MASK]", "mark of the packet: 0x1 or 0x1/0xff", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseMark(v[0]),
                     [&](const auto& mark) { *m.mutable_mark() = mark; });
     },
     [](v1::RuleMatch& m) { m.set_not_mark(true); }},
    {"uid-owner", "", "UID",
     "user of the sending socket: a number, a range 1000-1999, or a name "
     "of this machine",
     "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseId(v[0], IdKind::kUser),
                     [&](const auto& id) { *m.mutable_owner_uid() = id; });
     },
     [](v1::RuleMatch& m) { m.set_not_owner_uid(true); }},
    {"gid-owner", "", "GID", "its group", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseId(v[0], IdKind::kGroup),
                     [&](const auto& id) { *m.mutable_owner_gid() = id; });
     },
     [](v1::RuleMatch& m) { m.set_not_owner_gid(true); }},
    {"cgroup", ",--path", "PATH",
     "cgroup of the sending socket: system.slice/nginx.service", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_cgroup_path());
     },
     [](v1::RuleMatch& m) { m.set_not_cgroup_path(true); }},
    {"match-set", "", "NAME DIRECTIONS",
     "in this ipset: --match-set vips src,dst", "",
     [](Values v, bool, v1::RuleMatch& m) {
       m.mutable_ip_set()->set_name(v[0]);
       return ParseDirections(v[1], *m.mutable_ip_set());
     },
     [](v1::RuleMatch& m) { m.set_not_ip_set(true); }},
    {"dscp", ",--dscp-class", "DSCP", "0 to 63, or a class: CS1, AF41, EF", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseDscp(v[0]), [&](uint32_t d) { m.set_dscp(d); });
     },
     [](v1::RuleMatch& m) { m.set_not_dscp(true); }},
    {"pkt-type", "", "TYPE", "unicast, broadcast or multicast",
     "unicast broadcast multicast",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParsePacketType(v[0]),
                     [&](v1::PacketType t) { m.set_packet_type(t); });
     },
     [](v1::RuleMatch& m) { m.set_not_packet_type(true); }},
    {"src-type", "", "TYPES",
     "kinds of the source address in routing: LOCAL,BROADCAST,...",
     "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE "
     "PROHIBIT",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddressTypes(v[0], *m.mutable_source_address_types());
     },
     [](v1::RuleMatch& m) { m.set_not_source_address_types(true); }},
    {"dst-type", "", "TYPES", "kinds of the destination address",
     "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE "
     "PROHIBIT",
     [](Values v, bool, v1::RuleMatch& m) {
       return ParseAddressTypes(v[0], *m.mutable_destination_address_types());
     },
     [](v1::RuleMatch& m) { m.set_not_destination_address_types(true); }},
    {"tcp-flags", "", "MASK SET",
     "of the TCP flags MASK exactly SET are set: --tcp-flags SYN,ACK SYN",
     "FIN SYN RST PSH ACK URG ALL NONE",
     [](Values v, bool, v1::RuleMatch& m) {
       return Assign(ParseTcpFlags(v[0], v[1]),
                     [&](const auto& f) { *m.mutable_tcp_flags() = f; });
     },
     [](v1::RuleMatch& m) { m.set_not_tcp_flags(true); }},
    {"comment", "", "TEXT", "a note of yours; matches every packet", "",
     [](Values v, bool, v1::RuleMatch& m) {
       return NotEmpty(v[0], m.mutable_comment());
     },
     nullptr},
};

bool IsIpv6Protocol(absl::string_view protocol) {
  return absl::EqualsIgnoreCase(protocol, "icmpv6") ||
         absl::EqualsIgnoreCase(protocol, "ipv6-icmp") || protocol == "58";
}

std::string FlagName(const MatchArgument& argument) {
  return absl::StrCat(argument.negated ? "--not-" : "--", argument.flag->name);
}

// Collects "name value" pairs, and "name !value" for negated ones.
class MatchText {
 public:
  void Add(bool present, absl::string_view name, bool negated,
           absl::string_view value) {
    if (!present) return;
    absl::StrAppend(&text_, text_.empty() ? "" : " ", name,
                    name.empty() ? "" : " ", negated ? "!" : "", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

absl::Span<const MatchFlag> MatchFlags() { return kFlags; }

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
    if (argument.negated) argument.flag->negate(match);
  }
  return match;
}

std::string DescribeMatch(const v1::RuleMatch& m) {
  MatchText text;
  text.Add(!m.protocol().empty(), "", m.not_protocol(), m.protocol());
  text.Add(!m.source().empty(), "src", m.not_source(), m.source());
  text.Add(!m.destination().empty(), "dst", m.not_destination(),
           m.destination());
  text.Add(!m.source_ports().empty(), "sport", m.not_source_ports(),
           FormatPorts(m.source_ports()));
  text.Add(!m.destination_ports().empty(), "dport", m.not_destination_ports(),
           FormatPorts(m.destination_ports()));
  text.Add(!m.in_interface().empty(), "in", m.not_in_interface(),
           m.in_interface());
  text.Add(!m.out_interface().empty(), "out", m.not_out_interface(),
           m.out_interface());
  text.Add(m.has_icmp(), "type", m.not_icmp(), FormatIcmp(m.icmp()));
  text.Add(!m.conntrack_states().empty(), "ctstate", m.not_conntrack_states(),
           FormatStates(m));
  text.Add(m.has_mark(), "mark", m.not_mark(), FormatMark(m.mark()));
  text.Add(m.has_owner_uid(), "uid", m.not_owner_uid(),
           FormatId(m.owner_uid()));
  text.Add(m.has_owner_gid(), "gid", m.not_owner_gid(),
           FormatId(m.owner_gid()));
  text.Add(!m.cgroup_path().empty(), "cgroup", m.not_cgroup_path(),
           m.cgroup_path());
  text.Add(m.has_ip_set(), "set", m.not_ip_set(), FormatIpSet(m.ip_set()));
  text.Add(m.has_dscp(), "dscp", m.not_dscp(), absl::StrCat(m.dscp()));
  text.Add(m.packet_type() != v1::PACKET_TYPE_UNSPECIFIED, "pkt-type",
           m.not_packet_type(), PacketTypeName(m.packet_type()));
  text.Add(!m.source_address_types().empty(), "src-type",
           m.not_source_address_types(),
           FormatAddressTypes(m.source_address_types()));
  text.Add(!m.destination_address_types().empty(), "dst-type",
           m.not_destination_address_types(),
           FormatAddressTypes(m.destination_address_types()));
  text.Add(m.has_tcp_flags(), "tcp-flags", m.not_tcp_flags(),
           FormatTcpFlags(m.tcp_flags()));
  return text.Take();
}

std::string FamilyName(v1::Family family) {
  if (family == v1::FAMILY_IPV4) return "ipv4";
  if (family == v1::FAMILY_IPV6) return "ipv6";
  return "";
}

std::string VerdictName(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_ACCEPT:
      return "accept";
    case v1::VERDICT_DROP:
      return "drop";
    case v1::VERDICT_RETURN:
      return "return";
    case v1::VERDICT_OTHER:
      return "other";
    default:
      return "continue";
  }
}

}  // namespace nfmeter::cli
