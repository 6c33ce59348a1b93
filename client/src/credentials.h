// SPDX-License-Identifier: Apache-2.0
// Channel credentials from TlsOptions.
#ifndef NFMETER_CLIENT_SRC_CREDENTIALS_H_
#define NFMETER_CLIENT_SRC_CREDENTIALS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/src/address.h"
#include "grpcpp/security/credentials.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// What TlsOptions' files hold; of no files, nothing.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;

  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

struct Credentials {
  std::shared_ptr<grpc::ChannelCredentials> channel;
  TlsFiles files;  // that they were made of
};

// INVALID_ARGUMENT: no TLS where there must be, or files that can't be used.
absl::StatusOr<Credentials> MakeCredentials(const ClientOptions& options,
                                            const Address& address);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_CREDENTIALS_H_
