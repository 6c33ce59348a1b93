// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/listeners.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "security/access/principal.h"
#include "security/listen/marked_credentials.h"
#include "security/listen/unix_socket.h"

namespace nfmeter::security {
namespace {

using Kind = ListenAddress::Kind;

absl::Status Refuse(const ListenAddress& address, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "LISTEN_REFUSED",
      absl::StrCat("cannot listen on ", address.ToString(), ": ", why));
}

// The principal of the listener's callers; see ListenerGrant.
std::string CallersOf(const ListenOptions& options,
                      const ListenAddress& address) {
  if (address.kind == Kind::kUnix) return SocketName(address.path);
  return options.tls.has_value() ? "" : kLoopback;
}

absl::Status CheckTcp(const ListenOptions& options,
                      const ListenerOptions& listener) {
  const ListenAddress& address = listener.address;
  if (options.tls.has_value()) {
    if (listener.role.value_or(Role::kNone) == Role::kNone &&
        listener.flows == FlowAccess::kNone) {
      return absl::OkStatus();
    }
    return Refuse(address,
                  "role and flows are for unix sockets and insecure loopback; "
                  "over TLS the policy says who may do what, by certificate");
  }
  if (!address.IsLocal()) {
    return Refuse(address,
                  options.insecure_loopback
                      ? "without TLS only loopback addresses are allowed; "
                        "give tls certificate, key and client_ca"
                      : "TCP needs mutual TLS; give tls certificate, key and "
                        "client_ca, or use a unix socket");
  }
  if (!options.insecure_loopback) {
    return Refuse(address,
                  "TCP needs mutual TLS; give tls certificate, key and "
                  "client_ca, or --insecure-loopback to let every user of "
                  "this host in");
  }
  // gRPC's credentials for local connections know no other addresses.
  if (absl::StartsWith(address.host, "127.") && address.host != "127.0.0.1") {
    return Refuse(address,
                  "without TLS only 127.0.0.1, [::1] and localhost serve");
  }
  return absl::OkStatus();
}

// Calls of several such listeners can't be told apart.
absl::Status CheckLoopbackRoles(const ListenOptions& options) {
  const ListenerOptions* first = nullptr;
  for (const ListenerOptions& listener : options.listeners) {
    if (CallersOf(options, listener.address) != kLoopback) continue;
    if (first == nullptr) first = &listener;
    if (RoleOf(options, *first) != RoleOf(options, listener) ||
        first->flows != listener.flows) {
      return Refuse(listener.address,
                    "all listeners with insecure_loopback must have the same "
                    "role and flows");
    }
  }
  return absl::OkStatus();
}

// The same text for the same place, however it is written.
std::string PlaceOf(const ListenAddress& address) {
  if (address.kind == Kind::kTcp) return address.ToString();
  const std::filesystem::path path(address.path);
  std::error_code ignored;
  return std::filesystem::weakly_canonical(path.parent_path(), ignored) /
         path.filename();
}

absl::Status Unusable(const ListenAddress& address, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
      absl::StrCat("cannot listen on ", address.ToString(), ": ", why));
}

absl::string_view WhatToDo(int error) {
  switch (error) {
    case EADDRINUSE:
      return "the port is in use; stop what uses it or choose another";
    case EACCES:
      return "ports below 1024 need CAP_NET_BIND_SERVICE; choose another";
    case EADDRNOTAVAIL:
      return "this host has no such address";
    default:
      return strerror(error);
  }
}

// Why a socket can't be bound to the address; 0: it can.
int BindErrno(const addrinfo& address) {
  const UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  return bind(fd.get(), address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
}

std::string HostOf(const addrinfo& address) {
  char host[NI_MAXHOST] = "";
  getnameinfo(address.ai_addr, address.ai_addrlen, host, sizeof(host), nullptr,
              0, NI_NUMERICHOST);
  return host;
}

// Tries to bind, and returns the addresses with which it worked: gRPC tells
// neither why it can't bind nor which of a name's addresses it did bind.
absl::StatusOr<std::vector<std::string>> TryToBind(
    const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(),
                      &hints, &found);
      error != 0) {
    return Unusable(address, gai_strerror(error));
  }
  std::vector<std::string> hosts;
  int failure = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int error = BindErrno(*each);
    // A name's address that this host lacks is left out, by gRPC too.
    if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) continue;
    failure = error;
    if (failure != 0) break;
    hosts.push_back(HostOf(*each));
  }
  freeaddrinfo(found);
  if (failure != 0) return Unusable(address, WhatToDo(failure));
  return hosts;
}

std::shared_ptr<grpc::ServerCredentials> CredentialsFor(
    const ListenOptions& options, const ListenAddress& address,
    const Authorizer& authorizer,
    std::shared_ptr<grpc::ServerCredentials>& tls) {
  if (address.kind == Kind::kUnix) {
    return SocketCredentials(address.path, authorizer);
  }
  if (!options.tls.has_value()) return LoopbackCredentials(authorizer);
  if (tls == nullptr) {
    tls = MutualTlsCredentials(*options.tls);
    RecogniseCertificates(*tls, authorizer);
  }
  return tls;
}

}  // namespace

bool ListenOptions::AllLocal() const {
  return std::all_of(
      listeners.begin(), listeners.end(),
      [](const auto& listener) { return listener.address.IsLocal(); });
}

bool IsOverTls(const ListenOptions& options, const ListenAddress& address) {
  return address.kind == Kind::kTcp && options.tls.has_value();
}

Role RoleOf(const ListenOptions& options, const ListenerOptions& listener) {
  const bool over_tls = IsOverTls(options, listener.address);
  return listener.role.value_or(over_tls ? Role::kNone : Role::kAdmin);
}

std::vector<ListenerGrant> GrantsOf(const ListenOptions& options) {
  std::vector<ListenerGrant> grants;
  for (const ListenerOptions& each : options.listeners) {
    grants.push_back({.principal = CallersOf(options, each.address),
                      .role = RoleOf(options, each),
                      .flows = each.flows,
                      .address = each.address.ToString()});
  }
  return grants;
}

absl::StatusOr<std::vector<std::string>> CheckListeners(
    const ListenOptions& options) {
  std::vector<std::string> warnings;
  if (options.tls.has_value()) {
    NFM_ASSIGN_OR_RETURN(warnings, CheckTls(*options.tls));
  }
  std::vector<std::string> seen;
  for (const ListenerOptions& listener : options.listeners) {
    const ListenAddress& address = listener.address;
    if (address.kind == Kind::kTcp) {
      NFM_RETURN_IF_ERROR(CheckTcp(options, listener));
    } else if (!listener.group.empty()) {
      NFM_RETURN_IF_ERROR(FindGroup(listener.group).status());
    }
    const Role role = RoleOf(options, listener);
    if (address.kind == Kind::kUnix && (listener.mode & S_IWOTH) != 0 &&
        role > Role::kViewer) {
      warnings.push_back(absl::StrCat(
          address.ToString(),
          ": by its mode every user of this host may open "
          "it, and has the role ",
          RoleName(role), " then; give it a group, or the role viewer"));
    }
    if (role == Role::kNone && listener.flows > FlowAccess::kNone) {
      warnings.push_back(absl::StrCat(
          address.ToString(),
          ": its flows are shown to nobody, as its role is none; give it the "
          "role viewer, or have the policy say flows"));
    }
    const std::string place = PlaceOf(address);
    const bool chosen_by_kernel =
        address.kind == Kind::kTcp && address.port == 0;
    if (!chosen_by_kernel &&
        std::find(seen.begin(), seen.end(), place) != seen.end()) {
      return Refuse(address, "it is listed twice");
    }
    seen.push_back(place);
  }
  NFM_RETURN_IF_ERROR(CheckLoopbackRoles(options));
  return warnings;
}

absl::StatusOr<StartedServer> StartServer(const ListenOptions& options,
                                          const Authorizer& authorizer,
                                          grpc::ServerBuilder& builder) {
  StartedServer started;
  std::vector<int> ports(options.listeners.size(), 0);
  std::vector<std::vector<std::string>> hosts(options.listeners.size());
  std::shared_ptr<grpc::ServerCredentials> tls;
  // Two servers on one port would share its connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  for (size_t i = 0; i < options.listeners.size(); ++i) {
    const ListenAddress& address = options.listeners[i].address;
    if (address.kind == Kind::kUnix) {
      NFM_RETURN_IF_ERROR(MakeRoomForSocket(address.path));
    } else {
      NFM_ASSIGN_OR_RETURN(hosts[i], TryToBind(address));
    }
    builder.AddListeningPort(address.ToString(),
                             CredentialsFor(options, address, authorizer, tls),
                             &ports[i]);
  }
  {
    const PrivateUmask closed_to_others;
    started.server = builder.BuildAndStart();
  }
  for (size_t i = 0; i < options.listeners.size(); ++i) {
    ListenAddress address = options.listeners[i].address;
    if (started.server == nullptr || ports[i] == 0) {
      if (started.server == nullptr && ports[i] != 0) continue;
      return Unusable(address, "gRPC could not bind it");
    }
    if (address.kind == Kind::kUnix) {
      NFM_RETURN_IF_ERROR(SetSocketAccess(
          address.path, options.listeners[i].mode, options.listeners[i].group));
      started.addresses.push_back(address);
    }
    address.port = static_cast<uint16_t>(ports[i]);
    for (const std::string& host : hosts[i]) {
      address.host = host;
      started.addresses.push_back(address);
    }
  }
  if (started.server == nullptr) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
                     "gRPC could not start the server");
  }
  return started;
}

}  // namespace nfmeter::security
