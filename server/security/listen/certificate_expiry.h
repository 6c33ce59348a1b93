// SPDX-License-Identifier: GPL-3.0-or-later
// How long a certificate is good for.
#ifndef NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_
#define NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_

#include <grpcpp/security/tls_certificate_verifier.h>

#include <functional>
#include <memory>
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

// Lets connections in whose client's certificate is good now. A handshake looks
// at its chain, times included; a session that is resumed by a ticket is not
// looked at again, and brings a new ticket: one that began before the
// certificate expired could be kept up for good. Thread-safe.
class LifetimeVerifier final
    : public grpc::experimental::ExternalCertificateVerifier {
 public:
  static std::shared_ptr<grpc::experimental::CertificateVerifier> Make() {
    return Create<LifetimeVerifier>();
  }

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> callback,
              grpc::Status* sync_status) override;
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {
  }
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_CERTIFICATE_EXPIRY_H_
