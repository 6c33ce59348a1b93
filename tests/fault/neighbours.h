// SPDX-License-Identifier: GPL-3.0-or-later
// The other users of a host's packet filter: firewalls as people run them, in
// the test's own namespaces.
#ifndef NFMETER_TESTS_FAULT_NEIGHBOURS_H_
#define NFMETER_TESTS_FAULT_NEIGHBOURS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace nfmeter::testing {

// What one of them does to the ruleset in its life. Each returns when the
// kernel has all of it.
class Neighbour {
 public:
  virtual ~Neighbour() = default;
  virtual absl::Status Start() = 0;
  virtual absl::Status Reload() = 0;
  virtual absl::Status Stop() = 0;
};

// nftables.service: "flush ruleset" and a file, as /etc/nftables.conf is.
std::unique_ptr<Neighbour> MakeNftablesService();
// firewalld on a message bus of its own.
std::unique_ptr<Neighbour> MakeFirewalld();
// A table of its own that goes and comes in one transaction, as firewalld's does.
std::unique_ptr<Neighbour> MakeFirewalldLike();
// ufw, which changes a copy of its configuration.
std::unique_ptr<Neighbour> MakeUfw();
// The chains that Docker makes with iptables, and makes again.
std::unique_ptr<Neighbour> MakeDocker();
// Rules by iptables-nft, saved and restored.
std::unique_ptr<Neighbour> MakeIptablesNft();

// The same on legacy iptables: netfilter-persistent, a firewall whose rules go
// and come, and Docker.
std::unique_ptr<Neighbour> MakeIptablesService();
std::unique_ptr<Neighbour> MakeLegacyFirewalldLike();
std::unique_ptr<Neighbour> MakeLegacyDocker();

// The ruleset as nft lists it, without counts and without nfmeter's table.
std::string ForeignRuleset();

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_NEIGHBOURS_H_
