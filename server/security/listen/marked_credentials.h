// SPDX-License-Identifier: GPL-3.0-or-later
// Credentials of listeners whose calls say who makes them.
#ifndef NFMETER_SECURITY_LISTEN_MARKED_CREDENTIALS_H_
#define NFMETER_SECURITY_LISTEN_MARKED_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>

#include "absl/strings/string_view.h"
#include "security/access/authorizer.h"

namespace nfmeter::security {

// gRPC 1.51 does not tell a call's handler which socket it came in by (its peer
// is "unix:"), and has services of its own that no code of ours sees. So each
// call, before anything else looks at it, gets a mark that says whose it is;
// and calls to gRPC's own services are let in by `authorizer`, or not.
// `authorizer` must outlive the server.

// For the unix socket at `path`.
std::shared_ptr<grpc::ServerCredentials> SocketCredentials(
    absl::string_view path, const Authorizer& authorizer);

// For TCP on 127.0.0.1 and [::1], without TLS.
std::shared_ptr<grpc::ServerCredentials> LoopbackCredentials(
    const Authorizer& authorizer);

// Marks the calls of these credentials, which are MutualTlsCredentials().
void RecogniseCertificates(grpc::ServerCredentials& credentials,
                           const Authorizer& authorizer);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_MARKED_CREDENTIALS_H_
