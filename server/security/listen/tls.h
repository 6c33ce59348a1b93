// SPDX-License-Identifier: GPL-3.0-or-later
// Mutual TLS from files.
#ifndef NFMETER_SECURITY_LISTEN_TLS_H_
#define NFMETER_SECURITY_LISTEN_TLS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace nfmeter::security {

// PEM files.
struct TlsOptions {
  std::string certificate;  // the server's, followed by intermediate ones
  std::string key;          // of the first certificate
  std::string client_ca;    // whose clients are let in
};

// Reads the files. INVALID_ARGUMENT, naming the file and the reason: it can't
// be read, is not what it should be, or the key is another certificate's.
// Otherwise warnings, in sentences, of what is usable but odd: a certificate
// that has expired or is not valid yet, an authority that is none, a key that
// everybody can read.
absl::StatusOr<std::vector<std::string>> CheckTls(const TlsOptions& options);

// What the files held.
struct TlsTexts {
  std::string certificate;
  std::string key;
  std::string client_ca;

  friend bool operator==(const TlsTexts&, const TlsTexts&) = default;
};

// What gRPC follows in place of the files: copies of them in memory, which only
// ever hold what CheckTls() has found usable. gRPC 1.51 ends the process over a
// file that is empty at the moment, and takes a key of another certificate.
// Owns the memory. Not thread-safe, but for gRPC's reading.
class TlsCopies {
 public:
  // Reads the files; errors as CheckTls()'s.
  static absl::StatusOr<std::unique_ptr<TlsCopies>> Make(
      const TlsOptions& options);
  TlsCopies(const TlsCopies&) = delete;
  TlsCopies& operator=(const TlsCopies&) = delete;

  // For MutualTlsCredentials(), as long as this lives.
  TlsOptions options() const;

  // What they hold.
  const TlsTexts& texts() const { return held_; }

  // Takes files that have changed and are usable. As CheckTls(); after an error
  // the copies are what they were.
  absl::StatusOr<std::vector<std::string>> Refresh();

 private:
  explicit TlsCopies(const TlsOptions& options);

  const TlsOptions files_;
  const UniqueFd certificate_;
  const UniqueFd key_;
  const UniqueFd client_ca_;
  TlsTexts held_;
};

// Credentials that ask every client for a certificate of `client_ca`, and read
// the files again each second, which must never be empty (TlsCopies). TLS 1.2
// and 1.3. Call CheckTls() before.
std::shared_ptr<grpc::ServerCredentials> MutualTlsCredentials(
    const TlsOptions& options);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_TLS_H_
