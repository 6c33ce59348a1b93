// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "collector/targets.h"

namespace nfmeter::collector {
namespace {

constexpr int kMaxAnswer = 64 << 10;

absl::StatusOr<std::vector<Target>> DiscoverHosts(const Discovery& discovery) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(discovery.name.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("the name ", discovery.name,
                     " has no addresses: ", gai_strerror(error)));
  }
  const auto free = absl::MakeCleanup([found] { freeaddrinfo(found); });
  std::vector<Target> targets;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof(host),
                    nullptr, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    Target target = discovery.pattern;
    target.address = absl::StrContains(host, ":")
                         ? absl::StrCat("[", host, "]:", discovery.port)
                         : absl::StrCat(host, ":", discovery.port);
    // Certificates have the name that was asked for, hardly addresses.
    if (target.use_tls && target.tls.server_name.empty()) {
      target.tls.server_name = discovery.name;
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

absl::StatusOr<std::vector<Target>> DiscoverServices(
    const Discovery& discovery) {
  struct __res_state state = {};
  if (res_ninit(&state) != 0) {
    return absl::UnavailableError("the resolver can't be started");
  }
  const auto close = absl::MakeCleanup([&state] { res_nclose(&state); });
  std::vector<unsigned char> answer(kMaxAnswer);
  const int length =
      res_nsearch(&state, discovery.name.c_str(), ns_c_in, ns_t_srv,
                  answer.data(), static_cast<int>(answer.size()));
  ns_msg message;
  if (length < 0 || ns_initparse(answer.data(), length, &message) != 0) {
    return absl::UnavailableError(
        absl::StrCat("the name ", discovery.name,
                     " has no SRV records: ", hstrerror(state.res_h_errno)));
  }
  std::vector<Target> targets;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr row;
    if (ns_parserr(&message, ns_s_an, i, &row) != 0 ||
        ns_rr_type(row) != ns_t_srv || ns_rr_rdlen(row) < 7) {
      continue;
    }
    const unsigned char* data = ns_rr_rdata(row);
    char host[NS_MAXDNAME];
    // Priority, weight, port, name (RFC 2782).
    if (dn_expand(ns_msg_base(message), ns_msg_end(message), data + 6, host,
                  sizeof(host)) < 0) {
      continue;
    }
    Target target = discovery.pattern;
    target.address =
        absl::StrCat(absl::StripSuffix(host, "."), ":", ns_get16(data + 4));
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace

absl::StatusOr<std::vector<Target>> Discover(const Discovery& discovery) {
  auto targets = discovery.kind == Discovery::Kind::kSrv
                     ? DiscoverServices(discovery)
                     : DiscoverHosts(discovery);
  if (!targets.ok()) return targets;
  for (Target& target : *targets) target.name = target.address;
  std::sort(targets->begin(), targets->end(),
            [](const Target& a, const Target& b) { return a.name < b.name; });
  targets->erase(std::unique(targets->begin(), targets->end()), targets->end());
  return targets;
}

}  // namespace nfmeter::collector
