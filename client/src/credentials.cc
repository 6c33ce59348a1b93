// SPDX-License-Identifier: Apache-2.0
#include "client/src/credentials.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/src/status.h"
#include "client/src/status_macros.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

absl::Status BadFiles(absl::string_view message, absl::string_view hint) {
  return ClientError(absl::StatusCode::kInvalidArgument, reason::kBadTlsFiles,
                     message, hint);
}

// The content of a PEM file; of no file (empty path), nothing.
absl::StatusOr<std::string> ReadPem(const std::string& path,
                                    absl::string_view what) {
  if (path.empty()) return std::string();
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  // By way of <<, which reports a folder as a failure instead of throwing.
  std::ostringstream text;
  text << file.rdbuf();
  const std::string content = text.str();
  if (!file.is_open() || (content.empty() && errno != 0)) {
    return BadFiles(absl::StrCat("can't read the ", what, " ", path, ": ",
                                 errno != 0 ? strerror(errno) : "read error"),
                    "Check the path and its permissions.");
  }
  if (!absl::StrContains(content, "-----BEGIN ")) {
    return BadFiles(absl::StrCat("the ", what, " ", path, " is not PEM"),
                    "It must be text with lines \"-----BEGIN ...\".");
  }
  return content;
}

}  // namespace

absl::StatusOr<Credentials> MakeCredentials(const ClientOptions& options,
                                            const Address& address) {
  if (!options.tls.has_value()) {
    if (address.local || options.insecure) {
      return Credentials{grpc::InsecureChannelCredentials(), {}};
    }
    return ClientError(
        absl::StatusCode::kInvalidArgument, reason::kTlsRequired,
        absl::StrCat("no TLS for ", address.target,
                     ", which is neither a unix socket nor loopback"),
        "Give a CA, a certificate and its key; or, where everybody on the "
        "network may change the accounting, ask for an insecure connection.");
  }
  const TlsOptions& tls = *options.tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return BadFiles(tls.key_file.empty()
                        ? "a client certificate without its key"
                        : "a client key without its certificate",
                    "Give both, or none.");
  }
  NFM_ASSIGN_OR_RETURN(const auto ca, ReadPem(tls.ca_file, "CA file"));
  NFM_ASSIGN_OR_RETURN(const auto certificate,
                       ReadPem(tls.certificate_file, "certificate file"));
  NFM_ASSIGN_OR_RETURN(const auto key, ReadPem(tls.key_file, "key file"));
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = ca;
  ssl.pem_cert_chain = certificate;
  ssl.pem_private_key = key;
  return Credentials{grpc::SslCredentials(ssl), {ca, certificate, key}};
}

}  // namespace nfmeter::client_internal
