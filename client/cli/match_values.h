// SPDX-License-Identifier: Apache-2.0
// The values of the match flags: ports, ICMP types, states, marks and so on,
// each from text and back.
#ifndef NFMETER_CLI_MATCH_VALUES_H_
#define NFMETER_CLI_MATCH_VALUES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {

using PortRanges = google::protobuf::RepeatedPtrField<v1::PortRange>;
using EnumValues = google::protobuf::RepeatedField<int>;

// All parsers return INVALID_ARGUMENT with a sentence that names the text.

// "80,443,1000:2000,http"; "1000-2000", ":1023" and "1024:" too.
absl::Status ParsePorts(absl::string_view text, PortRanges& ranges);
std::string FormatPorts(const PortRanges& ranges);

// "8", "8/0", or a name that iptables knows for the family.
absl::StatusOr<v1::IcmpMatch> ParseIcmp(absl::string_view text, bool ipv6);
std::string FormatIcmp(const v1::IcmpMatch& icmp);

// "0x1", "1/0xff".
absl::StatusOr<v1::MarkMatch> ParseMark(absl::string_view text);
std::string FormatMark(const v1::MarkMatch& mark);

enum class IdKind { kUser, kGroup };
// "1000", "1000-1999", or a name that is looked up on this machine.
absl::StatusOr<v1::IdRange> ParseId(absl::string_view text, IdKind kind);
std::string FormatId(const v1::IdRange& range);

// The directions of an ipset: "src,dst".
absl::Status ParseDirections(absl::string_view text, v1::IpSetMatch& set);
std::string FormatIpSet(const v1::IpSetMatch& set);

// 0 to 63, "0x2e", or a class: CS0 to CS7, AF11 to AF43, EF.
absl::StatusOr<uint32_t> ParseDscp(absl::string_view text);

// The words of an enum: one, "unicast"; some, "NEW,ESTABLISHED".
absl::StatusOr<int> ParseEnum(const google::protobuf::EnumDescriptor* type,
                              absl::string_view text);
absl::Status ParseEnums(const google::protobuf::EnumDescriptor* type,
                        absl::string_view text, EnumValues& values);
std::string FormatEnums(const google::protobuf::EnumDescriptor* type,
                        const EnumValues& values);

// The two lists of --tcp-flags: "SYN,ACK,FIN,RST" and "SYN"; ALL and NONE.
absl::StatusOr<v1::TcpFlagsMatch> ParseTcpFlags(absl::string_view mask,
                                                absl::string_view set);
std::string FormatTcpFlags(const v1::TcpFlagsMatch& flags);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_MATCH_VALUES_H_
