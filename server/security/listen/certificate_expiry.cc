// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/certificate_expiry.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/text_file.h"

namespace nfmeter::security {
namespace {

struct Deleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

}  // namespace

absl::StatusOr<CertificateLifetime> LifetimeOf(const std::string& pem) {
  const std::unique_ptr<BIO, Deleter> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<X509, Deleter> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  tm not_before{};
  tm not_after{};
  if (certificate == nullptr ||
      ASN1_TIME_to_tm(X509_get0_notBefore(certificate.get()), &not_before) !=
          1 ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &not_after) != 1) {
    return absl::NotFoundError("no certificate");
  }
  return CertificateLifetime{absl::FromTM(not_before, absl::UTCTimeZone()),
                             absl::FromTM(not_after, absl::UTCTimeZone())};
}

absl::StatusOr<CertificateLifetime> ReadCertificateLifetime(
    const std::string& file) {
  const absl::StatusOr<std::string> pem = ReadTextFile(file);
  if (!pem.ok()) return absl::NotFoundError(pem.status().message());
  const absl::StatusOr<CertificateLifetime> lifetime = LifetimeOf(*pem);
  if (!lifetime.ok()) {
    return absl::NotFoundError(absl::StrCat(file, " has no certificate"));
  }
  return lifetime;
}

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
