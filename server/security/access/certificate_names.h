// SPDX-License-Identifier: GPL-3.0-or-later
// Whose a certificate is, where gRPC does not tell.
#ifndef NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_
#define NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_

#include <openssl/types.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "security/access/principal.h"

namespace nfmeter::security {

// The names in a certificate that somebody has verified, the same that gRPC
// finds.
CertificateNames NamesIn(const X509& certificate);

// The same of a certificate in DER. INVALID_ARGUMENT: it is none.
absl::StatusOr<CertificateNames> NamesInDer(absl::string_view der);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_CERTIFICATE_NAMES_H_
