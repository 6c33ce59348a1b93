// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/lifetime_verifier.h"

#include <string>

#include "absl/time/clock.h"
#include "security/listen/certificate_expiry.h"

namespace nfmeter::security {

bool LifetimeVerifier::Verify(
    grpc::experimental::TlsCustomVerificationCheckRequest* request,
    std::function<void(grpc::Status)> /*callback*/, grpc::Status* sync_status) {
  const grpc::string_ref pem = request->peer_cert();
  const absl::StatusOr<CertificateLifetime> lifetime =
      LifetimeOf(std::string(pem.data(), pem.size()));
  const absl::Time now = absl::Now();
  if (lifetime.ok() && lifetime->not_before <= now &&
      now <= lifetime->not_after) {
    *sync_status = grpc::Status::OK;
  } else {
    *sync_status = grpc::Status(
        grpc::StatusCode::UNAUTHENTICATED,
        "the client's certificate has expired or is not valid yet");
  }
  return true;  // at once
}

}  // namespace nfmeter::security
