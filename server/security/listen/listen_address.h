// SPDX-License-Identifier: GPL-3.0-or-later
// Where the server listens, as people write it.
#ifndef NFMETER_SECURITY_LISTEN_LISTEN_ADDRESS_H_
#define NFMETER_SECURITY_LISTEN_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nfmeter::security {

// "unix:/PATH", "tcp:HOST:PORT", "tcp:[IPV6]:PORT"; "tcp:" may be left out.
struct ListenAddress {
  enum class Kind { kUnix, kTcp };
  Kind kind = Kind::kUnix;
  std::string path;   // kUnix: absolute
  std::string host;   // kTcp: an address or a name, IPv6 without brackets
  uint16_t port = 0;  // kTcp: 0 for one that the kernel chooses

  // Only processes of this host reach it.
  bool IsLocal() const;
  // As gRPC and people write it; "tcp:" is not repeated.
  std::string ToString() const;
};

// INVALID_ARGUMENT, with a sentence for people.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_LISTEN_ADDRESS_H_
