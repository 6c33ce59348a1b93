// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/text_file.h"
#include "security/listen/certificate_expiry.h"

namespace nfmeter::security {
namespace {

struct OpenSslDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpenSslDeleter>;

absl::Status Wrong(absl::string_view what, absl::string_view file,
                   absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "TLS_FILE",
                   absl::StrCat(what, " ", file, ": ", why));
}

absl::StatusOr<std::string> ReadPem(absl::string_view what,
                                    const std::string& file) {
  absl::StatusOr<std::string> pem = ReadTextFile(file);
  if (pem.ok()) return pem;
  return MakeError(absl::StatusCode::kInvalidArgument, "TLS_FILE",
                   absl::StrCat(what, " ", pem.status().message()));
}

Owned<BIO> Reader(const std::string& pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::StatusOr<Owned<X509>> ReadCertificate(absl::string_view what,
                                            const std::string& file,
                                            const std::string& pem) {
  const Owned<BIO> bio = Reader(pem);
  Owned<X509> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) {
    return Wrong(what, file,
                 "holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  }
  return certificate;
}

// Answers "no passphrase" instead of asking the terminal for one.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Owned<EVP_PKEY>> ReadKey(const std::string& file,
                                        const std::string& pem) {
  const Owned<BIO> bio = Reader(pem);
  Owned<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return Wrong("tls.key", file,
                 "holds no PEM private key, or one with a passphrase; remove "
                 "it with: openssl pkey");
  }
  return key;
}

absl::StatusOr<TlsTexts> ReadTexts(const TlsOptions& options) {
  TlsTexts texts;
  NFM_ASSIGN_OR_RETURN(texts.certificate,
                       ReadPem("tls.certificate", options.certificate));
  NFM_ASSIGN_OR_RETURN(texts.key, ReadPem("tls.key", options.key));
  NFM_ASSIGN_OR_RETURN(texts.client_ca,
                       ReadPem("tls.client_ca", options.client_ca));
  return texts;
}

absl::StatusOr<std::vector<std::string>> CheckTexts(const TlsOptions& options,
                                                    const TlsTexts& texts) {
  NFM_ASSIGN_OR_RETURN(const Owned<X509> certificate,
                       ReadCertificate("tls.certificate", options.certificate,
                                       texts.certificate));
  NFM_ASSIGN_OR_RETURN(const Owned<EVP_PKEY> key,
                       ReadKey(options.key, texts.key));
  NFM_ASSIGN_OR_RETURN(
      const Owned<X509> ca,
      ReadCertificate("tls.client_ca", options.client_ca, texts.client_ca));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return Wrong("tls.key", options.key,
                 absl::StrCat("is not the key of ", options.certificate));
  }
  std::vector<std::string> warnings;
  const auto check_time = [&](const X509* checked, const std::string& file) {
    if (X509_cmp_current_time(X509_get0_notAfter(checked)) < 0) {
      warnings.push_back(absl::StrCat(file, " has expired"));
    } else if (X509_cmp_current_time(X509_get0_notBefore(checked)) > 0) {
      warnings.push_back(absl::StrCat(file, " is not valid yet"));
    }
  };
  check_time(certificate.get(), options.certificate);
  check_time(ca.get(), options.client_ca);
  if (X509_check_ca(ca.get()) == 0) {
    warnings.push_back(absl::StrCat(
        options.client_ca,
        " is not an authority's certificate: no client's can be verified with "
        "it"));
  }
  if (struct stat key_file{}; stat(options.key.c_str(), &key_file) == 0 &&
                              (key_file.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    warnings.push_back(
        absl::StrCat(options.key,
                     " can be read by every user of this host; close it with: "
                     "chmod 0640"));
  }
  return warnings;
}

// A file without a name.
UniqueFd Memory() { return UniqueFd(memfd_create("nfmeter-tls", MFD_CLOEXEC)); }

std::string PathOf(const UniqueFd& file) {
  return absl::StrCat("/proc/self/fd/", file.get());
}

// Writes over the old text, because gRPC may read the file at any time. If it
// reads a mixture of both texts, it finds the new one when it reads again.
bool Replace(const UniqueFd& file, const std::string& text) {
  const auto size = static_cast<ssize_t>(text.size());
  return pwrite(file.get(), text.data(), text.size(), 0) == size &&
         ftruncate(file.get(), size) == 0;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckTls(const TlsOptions& options) {
  NFM_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTexts(options));
  return CheckTexts(options, texts);
}

TlsCopies::TlsCopies(const TlsOptions& options)
    : files_(options),
      certificate_(Memory()),
      key_(Memory()),
      client_ca_(Memory()) {}

absl::StatusOr<std::unique_ptr<TlsCopies>> TlsCopies::Make(
    const TlsOptions& options) {
  auto copies = absl::WrapUnique(new TlsCopies(options));
  NFM_RETURN_IF_ERROR(copies->Refresh().status());
  return copies;
}

TlsOptions TlsCopies::options() const {
  return {.certificate = PathOf(certificate_),
          .key = PathOf(key_),
          .client_ca = PathOf(client_ca_)};
}

absl::StatusOr<std::vector<std::string>> TlsCopies::Refresh() {
  NFM_ASSIGN_OR_RETURN(TlsTexts texts, ReadTexts(files_));
  NFM_ASSIGN_OR_RETURN(std::vector<std::string> warnings,
                       CheckTexts(files_, texts));
  if (texts == held_) return warnings;
  if (!Replace(key_, texts.key) || !Replace(certificate_, texts.certificate) ||
      !Replace(client_ca_, texts.client_ca)) {
    return Wrong("tls.certificate", files_.certificate,
                 "there is no memory for a copy of it");
  }
  held_ = std::move(texts);
  return warnings;
}

std::shared_ptr<grpc::ServerCredentials> MutualTlsCredentials(
    const TlsOptions& options) {
  namespace tls = grpc::experimental;
  tls::TlsServerCredentialsOptions credentials(
      std::make_shared<tls::FileWatcherCertificateProvider>(
          options.key, options.certificate, options.client_ca,
          /*refresh_interval_sec=*/1));
  credentials.watch_root_certs();
  credentials.watch_identity_key_cert_pairs();
  credentials.set_cert_request_type(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  // The chain is verified in the handshake; clients have no host name to check.
  credentials.set_certificate_verifier(LifetimeVerifier::Make());
  credentials.set_check_call_host(false);
  return tls::TlsServerCredentials(credentials);
}

}  // namespace nfmeter::security
