// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_text.h"

#include <netdb.h>
#include <netinet/in.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {
namespace {

bool NeedsNoQuotes(absl::string_view value) {
  for (const char c : value) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '-') {
      return false;
    }
  }
  return !value.empty();
}

// Names that iptables knows without /etc/protocols.
absl::string_view BuiltinProtocolName(int protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_SCTP:
      return "sctp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_UDPLITE:
      return "udplite";
    case IPPROTO_ICMP:
      return "icmp";
    case IPPROTO_ICMPV6:
      return "ipv6-icmp";
    case IPPROTO_ESP:
      return "esp";
    case IPPROTO_AH:
      return "ah";
    case IPPROTO_MH:
      return "mobility-header";
    default:
      return "";
  }
}

std::string LookUpProtocolName(int protocol) {
  const absl::string_view builtin = BuiltinProtocolName(protocol);
  if (!builtin.empty()) return std::string(builtin);
  protoent storage;
  protoent* found = nullptr;
  char buffer[4096];
  if (getprotobynumber_r(protocol, &storage, buffer, sizeof(buffer), &found) ==
          0 &&
      found != nullptr) {
    return found->p_name;
  }
  return absl::StrCat(protocol);
}

}  // namespace

void AppendQuoted(absl::string_view value, std::string& text) {
  if (NeedsNoQuotes(value)) {
    absl::StrAppend(&text, " ", value);
    return;
  }
  text.append(" \"");
  for (const char c : value) {
    if (c == '"' || c == '\\' || c == '\'') text.push_back('\\');
    text.push_back(c);
  }
  text.push_back('"');
}

void AppendNegation(bool negated, std::string& text) {
  if (negated) text.append(" !");
}

void AppendMark(uint32_t value, uint32_t mask, std::string& text) {
  absl::StrAppend(&text, " 0x", absl::Hex(value));
  if (mask != 0xffffffff) absl::StrAppend(&text, "/0x", absl::Hex(mask));
}

void AppendRange(uint32_t first, uint32_t last, std::string& text) {
  absl::StrAppend(&text, first);
  if (first != last) absl::StrAppend(&text, ":", last);
}

void AppendBits(uint32_t bits, absl::Span<const absl::string_view> names,
                absl::string_view lead, std::string& text) {
  for (size_t bit = 0; bit < names.size(); ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    absl::StrAppend(&text, lead, names[bit]);
    lead = ",";
  }
}

absl::string_view ProtocolName(uint8_t protocol) {
  static const std::array<std::string, 256>& names = *[] {
    auto* table = new std::array<std::string, 256>;
    for (int i = 0; i < 256; ++i) (*table)[i] = LookUpProtocolName(i);
    return table;
  }();
  return names[protocol];
}

}  // namespace nfmeter::kernel
