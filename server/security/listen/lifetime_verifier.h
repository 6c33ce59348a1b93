// SPDX-License-Identifier: GPL-3.0-or-later
// Verifies what OpenSSL does not when a TLS session is resumed.
#ifndef NFMETER_SECURITY_LISTEN_LIFETIME_VERIFIER_H_
#define NFMETER_SECURITY_LISTEN_LIFETIME_VERIFIER_H_

#include <grpcpp/security/tls_certificate_verifier.h>

#include <functional>
#include <memory>

namespace nfmeter::security {

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

#endif  // NFMETER_SECURITY_LISTEN_LIFETIME_VERIFIER_H_
