// Channel credentials from TlsOptions.
#ifndef NFMETER_CLIENT_SRC_CREDENTIALS_H_
#define NFMETER_CLIENT_SRC_CREDENTIALS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/src/address.h"
#include "grpcpp/security/credentials.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// INVALID_ARGUMENT: no TLS where there must be, or files that can't be used.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const ClientOptions& options, const Address& address);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_CREDENTIALS_H_
