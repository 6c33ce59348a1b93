// SPDX-License-Identifier: GPL-3.0-or-later
// How long a certificate is good for.
#ifndef NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_
#define NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace nfmeter::security {

struct CertificateLifetime {
  absl::Time not_before;
  absl::Time not_after;
};

// That of the first certificate in a PEM text. NOT_FOUND: there is none.
absl::StatusOr<CertificateLifetime> LifetimeOf(const std::string& pem);

// That of the first certificate in a PEM file. NOT_FOUND: the file can't be
// read, or has none.
absl::StatusOr<CertificateLifetime> ReadCertificateLifetime(
    const std::string& file);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_
