// SPDX-License-Identifier: Apache-2.0
#include "cli/match_values.h"

#include <grp.h>
#include <netdb.h>
#include <pwd.h>

#include <limits>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "google/protobuf/descriptor.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::EnumDescriptor;

// Decimal, or hexadecimal after 0x.
bool ParseNumber(absl::string_view text, uint32_t& value) {
  if (text.empty() || !absl::ascii_isdigit(text.front())) return false;
  if (absl::ConsumePrefix(&text, "0x") || absl::ConsumePrefix(&text, "0X")) {
    return absl::SimpleHexAtoi(text, &value);
  }
  return absl::SimpleAtoi(text, &value);
}

bool ParsePort(absl::string_view text, uint32_t& port) {
  if (ParseNumber(text, port)) return port <= 65535;
  const servent* service = getservbyname(std::string(text).c_str(), nullptr);
  if (service == nullptr) return false;
  port = ntohs(static_cast<uint16_t>(service->s_port));
  return true;
}

struct IcmpName {
  absl::string_view name;
  bool ipv6;
  uint32_t type;
  int code;  // -1: any
};

// The names of iptables(8) and ip6tables(8), and two that everybody types.
constexpr IcmpName kIcmpNames[] = {
    {"echo-reply", false, 0, -1},
    {"pong", false, 0, -1},
    {"destination-unreachable", false, 3, -1},
    {"network-unreachable", false, 3, 0},
    {"host-unreachable", false, 3, 1},
    {"protocol-unreachable", false, 3, 2},
    {"port-unreachable", false, 3, 3},
    {"fragmentation-needed", false, 3, 4},
    {"source-quench", false, 4, -1},
    {"redirect", false, 5, -1},
    {"echo-request", false, 8, -1},
    {"ping", false, 8, -1},
    {"router-advertisement", false, 9, -1},
    {"router-solicitation", false, 10, -1},
    {"time-exceeded", false, 11, -1},
    {"ttl-exceeded", false, 11, -1},
    {"parameter-problem", false, 12, -1},
    {"timestamp-request", false, 13, -1},
    {"timestamp-reply", false, 14, -1},
    {"address-mask-request", false, 17, -1},
    {"address-mask-reply", false, 18, -1},
    {"destination-unreachable", true, 1, -1},
    {"no-route", true, 1, 0},
    {"communication-prohibited", true, 1, 1},
    {"address-unreachable", true, 1, 3},
    {"port-unreachable", true, 1, 4},
    {"packet-too-big", true, 2, -1},
    {"time-exceeded", true, 3, -1},
    {"ttl-exceeded", true, 3, -1},
    {"parameter-problem", true, 4, -1},
    {"echo-request", true, 128, -1},
    {"ping", true, 128, -1},
    {"echo-reply", true, 129, -1},
    {"pong", true, 129, -1},
    {"router-solicitation", true, 133, -1},
    {"router-advertisement", true, 134, -1},
    {"neighbour-solicitation", true, 135, -1},
    {"neighbor-solicitation", true, 135, -1},
    {"neighbour-advertisement", true, 136, -1},
    {"neighbor-advertisement", true, 136, -1},
    {"redirect", true, 137, -1},
};

absl::Status ParseFlagList(absl::string_view text, EnumValues* flags) {
  if (absl::EqualsIgnoreCase(text, "NONE")) return absl::OkStatus();
  if (absl::EqualsIgnoreCase(text, "ALL")) {
    for (int flag = v1::TCP_FLAG_FIN; flag <= v1::TCP_FLAG_URG; ++flag) {
      flags->Add(flag);
    }
    return absl::OkStatus();
  }
  return ParseEnums(v1::TcpFlag_descriptor(), text, *flags);
}

std::string FormatFlagList(const EnumValues& flags) {
  return flags.empty() ? "NONE" : FormatEnums(v1::TcpFlag_descriptor(), flags);
}

}  // namespace

absl::StatusOr<int> ParseEnum(const EnumDescriptor* type,
                              absl::string_view text) {
  if (const int value = FindEnumWord(type, text); value != 0) return value;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", text, "' is none of ", absl::StrJoin(EnumWords(type), ", ")));
}

absl::Status ParseEnums(const EnumDescriptor* type, absl::string_view text,
                        EnumValues& values) {
  for (absl::string_view name : absl::StrSplit(text, ',')) {
    NFM_ASSIGN_OR_RETURN(const int value, ParseEnum(type, name));
    values.Add(value);
  }
  return absl::OkStatus();
}

std::string FormatEnums(const EnumDescriptor* type, const EnumValues& values) {
  return absl::StrJoin(values, ",", [type](std::string* out, int value) {
    out->append(EnumWord(type, value));
  });
}

absl::Status ParsePorts(absl::string_view text, PortRanges& ranges) {
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    v1::PortRange range;
    uint32_t first = 0;
    if (ParsePort(part, first)) {  // names may have '-' in them
      range.set_first(first);
      *ranges.Add() = range;
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits(absl::ByAnyChar(":-"), 1));
    uint32_t last = 65535;
    const size_t separator = part.find_first_of(":-");
    // Open ends are iptables' way, with ':' alone; "-1" is a mistake.
    const bool open = ends.first.empty() || ends.second.empty();
    if (separator == absl::string_view::npos ||
        (open && (part[separator] == '-' || part.size() == 1)) ||
        !(ends.first.empty() || ParsePort(ends.first, first)) ||
        !(ends.second.empty() || ParsePort(ends.second, last))) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", part, "' is not a port from 0 to 65535, a range ",
                       "such as 1000:2000, or the name of a service"));
    }
    if (last < first) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' ends before it begins; write ", last, ":", first));
    }
    range.set_first(first);
    range.set_last(last);
    *ranges.Add() = range;
  }
  return absl::OkStatus();
}

std::string FormatPorts(const PortRanges& ranges) {
  return absl::StrJoin(
      ranges, ",", [](std::string* out, const v1::PortRange& range) {
        absl::StrAppend(out, range.first());
        if (range.has_last() && range.last() != range.first()) {
          absl::StrAppend(out, ":", range.last());
        }
      });
}

absl::StatusOr<v1::IcmpMatch> ParseIcmp(absl::string_view text, bool ipv6) {
  v1::IcmpMatch icmp;
  for (const IcmpName& known : kIcmpNames) {
    if (known.ipv6 != ipv6 || !absl::EqualsIgnoreCase(known.name, text)) {
      continue;
    }
    icmp.set_type(known.type);
    if (known.code >= 0) icmp.set_code(static_cast<uint32_t>(known.code));
    return icmp;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  uint32_t type = 0;
  uint32_t code = 0;
  if (parts.size() > 2 || !ParseNumber(parts[0], type) || type > 255 ||
      (parts.size() == 2 && (!ParseNumber(parts[1], code) || code > 255))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not an ", ipv6 ? "ICMPv6" : "ICMP", " type such as ",
        ipv6 ? "128, 1/4" : "8, 3/1", " or echo-request"));
  }
  icmp.set_type(type);
  if (parts.size() == 2) icmp.set_code(code);
  return icmp;
}

std::string FormatIcmp(const v1::IcmpMatch& icmp) {
  if (!icmp.has_code()) return absl::StrCat(icmp.type());
  return absl::StrCat(icmp.type(), "/", icmp.code());
}

absl::StatusOr<v1::MarkMatch> ParseMark(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  uint32_t value = 0;
  uint32_t mask = 0;
  if (parts.size() > 2 || !ParseNumber(parts[0], value) ||
      (parts.size() == 2 && !ParseNumber(parts[1], mask))) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a mark such as 1, 0x1 or 0x1/0xff"));
  }
  v1::MarkMatch mark;
  mark.set_value(value);
  if (parts.size() == 2) mark.set_mask(mask);
  return mark;
}

std::string FormatMark(const v1::MarkMatch& mark) {
  std::string text = absl::StrFormat("0x%x", mark.value());
  if (mark.has_mask()) absl::StrAppendFormat(&text, "/0x%x", mark.mask());
  return text;
}

absl::StatusOr<v1::IdRange> ParseId(absl::string_view text, IdKind kind) {
  v1::IdRange range;
  const std::string name(text);
  if (!name.empty() && !absl::ascii_isdigit(name[0])) {
    if (kind == IdKind::kUser) {
      if (const passwd* user = getpwnam(name.c_str())) {
        range.set_first(user->pw_uid);
        return range;
      }
    } else if (const group* entry = getgrnam(name.c_str())) {
      range.set_first(entry->gr_gid);
      return range;
    }
  }
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::ByAnyChar("-:"));
  uint32_t first = 0;
  uint32_t last = 0;
  const absl::string_view noun = kind == IdKind::kUser ? "user" : "group";
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], &first) ||
      (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &last))) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a ", noun, " of this machine, a ",
                     "number, or a range such as 1000-1999"));
  }
  if (parts.size() == 2 && last < first) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' ends before it begins; write ", last, "-", first));
  }
  range.set_first(first);
  if (parts.size() == 2) range.set_last(last);
  return range;
}

std::string FormatId(const v1::IdRange& range) {
  if (!range.has_last() || range.last() == range.first()) {
    return absl::StrCat(range.first());
  }
  return absl::StrCat(range.first(), "-", range.last());
}

absl::Status ParseDirections(absl::string_view text, v1::IpSetMatch& set) {
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    if (part == "src") {
      set.add_directions(v1::IP_SET_DIRECTION_SOURCE);
    } else if (part == "dst") {
      set.add_directions(v1::IP_SET_DIRECTION_DESTINATION);
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' is neither src nor dst; write src, dst, or one for ",
          "each dimension of the set, as in src,dst"));
    }
  }
  return absl::OkStatus();
}

std::string FormatIpSet(const v1::IpSetMatch& set) {
  return absl::StrCat(
      set.name(), " ",
      absl::StrJoin(set.directions(), ",", [](std::string* out, int direction) {
        out->append(direction == v1::IP_SET_DIRECTION_SOURCE ? "src" : "dst");
      }));
}

absl::StatusOr<uint32_t> ParseDscp(absl::string_view text) {
  uint32_t value = 0;
  if (ParseNumber(text, value) && value <= 63) return value;
  const std::string name = absl::AsciiStrToUpper(text);
  if (name == "EF") return 46u;
  if (name == "BE") return 0u;
  if (name.size() == 3 && absl::StartsWith(name, "CS") && name[2] >= '0' &&
      name[2] <= '7') {
    return static_cast<uint32_t>(name[2] - '0') * 8;
  }
  if (name.size() == 4 && absl::StartsWith(name, "AF") && name[2] >= '1' &&
      name[2] <= '4' && name[3] >= '1' && name[3] <= '3') {
    return static_cast<uint32_t>((name[2] - '0') * 8 + (name[3] - '0') * 2);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not a DSCP from 0 to 63 or a class: CS0 ",
                   "to CS7, AF11 to AF43, EF"));
}

absl::StatusOr<v1::TcpFlagsMatch> ParseTcpFlags(absl::string_view mask,
                                                absl::string_view set) {
  v1::TcpFlagsMatch flags;
  NFM_RETURN_IF_ERROR(ParseFlagList(mask, flags.mutable_mask()));
  NFM_RETURN_IF_ERROR(ParseFlagList(set, flags.mutable_set()));
  for (int flag : flags.set()) {
    if (!absl::c_linear_search(flags.mask(), flag)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the first list, ", mask, ", must contain all of the second, ", set));
    }
  }
  return flags;
}

std::string FormatTcpFlags(const v1::TcpFlagsMatch& flags) {
  return absl::StrCat(FormatFlagList(flags.mask()), " ",
                      FormatFlagList(flags.set()));
}

}  // namespace nfmeter::cli
