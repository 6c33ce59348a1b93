// SPDX-License-Identifier: Apache-2.0
// Which nodes a collector follows.
//
//   defaults: {ca: /etc/nfmeter/ca.crt, cert: me.crt, key: me.key}
//   targets:
//     - {name: gw1, address: "gw1.example.org:7443"}
//     - {name: here, address: "unix:/run/nfmeter/nfmeter.sock"}
//   discover:
//     - {srv: _nfmeter._tcp.example.org}
//     - {hosts: nfmeter-grpc.accounting.svc, port: 7443}
#ifndef NFMETER_COLLECTOR_TARGETS_H_
#define NFMETER_COLLECTOR_TARGETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/options.h"

namespace nfmeter::collector {

// How to reach a node.
struct Target {
  std::string name;
  std::string address;
  TlsOptions tls;
  bool use_tls = false;
  bool insecure = false;

  friend bool operator==(const Target& a, const Target& b) {
    const auto tie = [](const Target& t) {
      return std::tie(t.name, t.address, t.use_tls, t.insecure, t.tls.ca_file,
                      t.tls.certificate_file, t.tls.key_file,
                      t.tls.server_name);
    };
    return tie(a) == tie(b);
  }
};

// Of the client that follows it, which itself tries again.
ClientOptions OptionsFor(const Target& target);

// Names in the DNS that stand for many nodes.
struct Discovery {
  enum class Kind {
    kSrv,    // SRV records: names and ports
    kHosts,  // addresses of a name, as of a headless service in Kubernetes
  };
  Kind kind = Kind::kSrv;
  std::string name;
  uint16_t port = 0;  // kHosts
  Target pattern;     // everything but name and address

  friend bool operator==(const Discovery&, const Discovery&) = default;
};

struct TargetsFile {
  std::vector<Target> targets;
  std::vector<Discovery> discover;
};

// INVALID_ARGUMENT: what is wrong with it, all of it, each with its line
// ("nodes.yaml:7: ..."), in the message. Relative paths of TLS files count from
// the folder of `path`.
absl::StatusOr<TargetsFile> ParseTargets(absl::string_view yaml,
                                         const std::string& path);
// NOT_FOUND, PERMISSION_DENIED and others by errno: it can't be read.
absl::StatusOr<std::string> ReadTargetsText(const std::string& path);
// As both.
absl::StatusOr<TargetsFile> ReadTargets(const std::string& path);

// The nodes behind `discovery` now, by address. UNAVAILABLE: the DNS does not
// answer, or has no such name.
absl::StatusOr<std::vector<Target>> Discover(const Discovery& discovery);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_TARGETS_H_
