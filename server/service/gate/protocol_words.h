// SPDX-License-Identifier: GPL-3.0-or-later
// The words of IP protocols, as rules and flows have them.
#ifndef NFMETER_SERVICE_GATE_PROTOCOL_WORDS_H_
#define NFMETER_SERVICE_GATE_PROTOCOL_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::service {

// 1 to 255 from a name or a number; nullopt: neither.
std::optional<uint8_t> ProtocolNumber(absl::string_view text);
// The name, or the number for those without.
std::string ProtocolText(uint8_t number);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_PROTOCOL_WORDS_H_
