// SPDX-License-Identifier: GPL-3.0-or-later
// Mutual TLS of HTTP: what a connection is made with.
#ifndef NFMETER_TELEMETRY_HTTP_TLS_H_
#define NFMETER_TELEMETRY_HTTP_TLS_H_

#include <gnutls/gnutls.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace nfmeter::telemetry {

// A server's certificate with its key, and the authorities whose clients are
// let in. Immutable; connections share it, each as long as it lives.
class HttpTls {
 public:
  // PEM texts.
  struct Texts {
    std::string certificate;  // the server's, followed by intermediate ones
    std::string key;
    std::string client_ca;
  };

  // INVALID_ARGUMENT: GnuTLS can't use them; the sentence says which and why.
  static absl::StatusOr<std::shared_ptr<const HttpTls>> Make(
      const Texts& texts);

  ~HttpTls();

  HttpTls(const HttpTls&) = delete;
  HttpTls& operator=(const HttpTls&) = delete;

  // Before the handshake: it fails for clients without a good certificate of
  // client_ca. This must outlive the session.
  void Prepare(gnutls_session_t session) const;

  // TLS 1.2 and 1.3, in GnuTLS's words.
  static const char* Priorities();

 private:
  explicit HttpTls(gnutls_certificate_credentials_t credentials)
      : credentials_(credentials) {}

  const gnutls_certificate_credentials_t credentials_;
};

// The client's certificate in DER, from a session whose handshake is over.
// Empty where there is none, or it is no longer good: connections are kept,
// certificates expire meanwhile.
std::string ClientCertificate(gnutls_session_t session);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_HTTP_TLS_H_
