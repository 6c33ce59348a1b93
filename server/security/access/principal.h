// SPDX-License-Identifier: GPL-3.0-or-later
// Who is at the other end of a connection.
#ifndef NFMETER_SECURITY_ACCESS_PRINCIPAL_H_
#define NFMETER_SECURITY_ACCESS_PRINCIPAL_H_

#include <grpcpp/security/auth_context.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::security {

inline constexpr char kLoopback[] = "loopback";  // TCP without TLS

// "socket:/PATH"
std::string SocketName(absl::string_view path);

// A SPIFFE ID of a workload, as the standard writes it: "spiffe://", a trust
// domain in lower case, a path; no query, no fragment, no dots for segments.
bool IsSpiffeId(absl::string_view uri);

struct Principal {
  // The best known first; see nfmeter.v1.Caller. Those of a certificate are
  // its SPIFFE ID, then "uri:", "dns:" and "cn:" names. Never empty: one
  // without any usable name is called "certificate".
  std::vector<std::string> names;
  // It has shown a certificate.
  bool certified = false;

  const std::string& name() const { return names[0]; }

  friend bool operator==(const Principal&, const Principal&) = default;
};

// The names that a certificate has, as they stand there.
struct CertificateNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> common_names;
};

// Whose certificate it is. What is malformed or has characters that nobody can
// see is left out; so is a SPIFFE ID beside another URI.
Principal PrincipalOf(const CertificateNames& names);

// The names in the client's certificate, which the handshake has verified.
CertificateNames NamesInCertificate(const grpc::AuthContext& context);

// One text for all of it, and back.
std::string EncodePrincipal(const Principal& principal);
Principal DecodePrincipal(absl::string_view text);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_PRINCIPAL_H_
