// SPDX-License-Identifier: GPL-3.0-or-later
// Starts a gRPC server on its listeners, each as open as it may be.
#ifndef NFMETER_SECURITY_LISTEN_LISTENERS_H_
#define NFMETER_SECURITY_LISTEN_LISTENERS_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "security/access/access.h"
#include "security/access/authorizer.h"
#include "security/listen/listen_address.h"
#include "security/listen/tls.h"

namespace nfmeter::security {

struct ListenerOptions {
  ListenAddress address;
  // Unix sockets only.
  mode_t mode = 0660;
  std::string group;  // empty: the process's
  // The role of its callers. Not said: RoleOf().
  std::optional<Role> role;
  // What its callers may see of flows.
  FlowAccess flows = FlowAccess::kNone;
};

struct ListenOptions {
  std::vector<ListenerOptions> listeners;
  std::optional<TlsOptions> tls;
  // TCP without TLS, on loopback addresses only.
  bool insecure_loopback = false;

  // Nobody outside this host reaches any of them.
  bool AllLocal() const;
};

// The role of callers on this listener: what it says, else admin; over TLS
// none, there the policy decides.
Role RoleOf(const ListenOptions& options, const ListenerOptions& listener);

// Callers at this address show certificates.
bool IsOverTls(const ListenOptions& options, const ListenAddress& address);

// Those of all listeners, for the Authorizer.
std::vector<ListenerGrant> GrantsOf(const ListenOptions& options);

// Whether these listeners may be opened and their files and groups are there.
// Opens nothing. INVALID_ARGUMENT, a sentence that says what to do. Otherwise
// warnings, as of CheckTls().
absl::StatusOr<std::vector<std::string>> CheckListeners(
    const ListenOptions& options);

struct StartedServer {
  std::unique_ptr<grpc::Server> server;
  // In the order of the options, with the ports that the kernel chose. A name
  // stands here as the addresses that it has.
  std::vector<ListenAddress> addresses;
};

// Opens the listeners, which have passed CheckListeners(), and starts the
// server with the services that `builder` has. Unix sockets are made closed to
// others and opened to their group and mode afterwards; gRPC removes them when
// the server is destroyed. `authorizer`, which must outlive the server, tells
// who may call gRPC's own services. FAILED_PRECONDITION: an address is in use
// or can't be used; nothing is left open.
absl::StatusOr<StartedServer> StartServer(const ListenOptions& options,
                                          const Authorizer& authorizer,
                                          grpc::ServerBuilder& builder);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_LISTENERS_H_
