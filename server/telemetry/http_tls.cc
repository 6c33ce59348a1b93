// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/http_tls.h"

#include <gnutls/x509.h>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace nfmeter::telemetry {
namespace {

gnutls_datum_t DatumOf(const std::string& text) {
  // GnuTLS only reads it.
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
          static_cast<unsigned>(text.size())};
}

absl::Status Unusable(absl::string_view what, int error) {
  return absl::InvalidArgumentError(
      absl::StrCat("GnuTLS can't use ", what, ": ", gnutls_strerror(error)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HttpTls>> HttpTls::Make(
    const Texts& texts) {
  gnutls_certificate_credentials_t credentials = nullptr;
  if (const int error = gnutls_certificate_allocate_credentials(&credentials);
      error != GNUTLS_E_SUCCESS) {
    return Unusable("memory for certificates", error);
  }
  auto made = absl::WrapUnique(new HttpTls(credentials));
  const gnutls_datum_t certificate = DatumOf(texts.certificate);
  const gnutls_datum_t key = DatumOf(texts.key);
  const gnutls_datum_t client_ca = DatumOf(texts.client_ca);
  if (const int error = gnutls_certificate_set_x509_key_mem2(
          credentials, &certificate, &key, GNUTLS_X509_FMT_PEM, nullptr, 0);
      error < 0) {
    return Unusable("tls.certificate with tls.key", error);
  }
  // The number of authorities, or an error.
  if (const int found = gnutls_certificate_set_x509_trust_mem(
          credentials, &client_ca, GNUTLS_X509_FMT_PEM);
      found <= 0) {
    return Unusable("tls.client_ca",
                    found < 0 ? found : GNUTLS_E_NO_CERTIFICATE_FOUND);
  }
  return made;
}

HttpTls::~HttpTls() { gnutls_certificate_free_credentials(credentials_); }

void HttpTls::Prepare(gnutls_session_t session) const {
  // GnuTLS keeps the pointer.
  static gnutls_typed_vdata_st of_clients = {
      .type = GNUTLS_DT_KEY_PURPOSE_OID,
      .data = reinterpret_cast<unsigned char*>(
          const_cast<char*>(GNUTLS_KP_TLS_WWW_CLIENT)),
      .size = 0};
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials_);
  gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
  gnutls_session_set_verify_cert2(session, &of_clients, 1, 0);
}

const char* HttpTls::Priorities() {
  return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

std::string ClientCertificate(gnutls_session_t session) {
  unsigned count = 0;
  const gnutls_datum_t* const chain =
      gnutls_certificate_get_peers(session, &count);
  unsigned wrong = 0;
  if (chain == nullptr || count == 0 ||
      gnutls_certificate_verify_peers2(session, &wrong) != GNUTLS_E_SUCCESS ||
      wrong != 0) {
    return "";
  }
  return {reinterpret_cast<const char*>(chain[0].data), chain[0].size};
}

}  // namespace nfmeter::telemetry
