// SPDX-License-Identifier: GPL-3.0-or-later
// Whose a certificate is, where it does not come from gRPC.
#ifndef NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_
#define NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "security/access/principal.h"

namespace nfmeter::security {

// The names in a certificate in DER, which somebody has verified: the same that
// gRPC finds. INVALID_ARGUMENT: it is no certificate.
absl::StatusOr<CertificateNames> NamesInDer(absl::string_view der);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_
