// SPDX-License-Identifier: GPL-3.0-or-later
// The other users of the packet filter that the server's rules are in.
#ifndef NFMETER_TESTS_FAULT_FIREWALL_H_
#define NFMETER_TESTS_FAULT_FIREWALL_H_

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter::testing {

// What other programs do to the packet filter of a backend, and what they see
// there. Rules are as the system's own tools print them.
class Firewall {
 public:
  virtual ~Firewall() = default;

  // The rules of others, in order; with their counters or without.
  std::vector<std::string> ForeignRules(bool with_counters) const {
    return Rules(/*managed=*/false, with_counters);
  }
  // Those that nfmeter made, its plans' too, without counters.
  std::vector<std::string> ManagedRules() const {
    return Rules(/*managed=*/true, /*with_counters=*/false);
  }
  // Packets that the one rule with this text in it has counted; UINT64_MAX when
  // there is no such rule.
  virtual uint64_t RulePackets(absl::string_view text) const = 0;

  // Others have three rules alone, which have counted: one for an address that
  // jumps to a chain, and in that one for web and, where others can have that,
  // one that counts into this counter of the server's. Nothing that is
  // nfmeter's is touched.
  virtual absl::Status Load(const std::string& counter) = 0;

  // Another rule of theirs behind those for what is sent, and one away; by the
  // address that it is for.
  virtual absl::Status Add(const std::string& address) = 0;
  virtual absl::Status Remove(const std::string& address) = 0;
  // One that counts UDP to a port.
  virtual absl::Status Count(uint16_t port) = 0;
  // What ForeignRules() has in common for those of Count(), and of Add().
  virtual std::string Counting(uint16_t port) const = 0;
  virtual std::string Adding(const std::string& address) const = 0;

  // A command of iptables, or of nft.
  virtual absl::Status Do(const std::string& command) = 0;
  // The one chain of a plan for what is sent over IPv4.
  virtual std::string PlanChain() const = 0;
  // The one map of a plan; "": there are no maps.
  virtual std::string PlanMap() const { return ""; }

 private:
  virtual std::vector<std::string> Rules(bool managed,
                                         bool with_counters) const = 0;
};

// The server's table, as it was before Linux 6.9: everybody can change it.
absl::Status MakePlainTable();

struct FirewallKind {
  const char* name;
  const char* backend;  // of --backend
  std::unique_ptr<Firewall> (*make)();
  friend std::ostream& operator<<(std::ostream& out, const FirewallKind& kind) {
    return out << kind.name;
  }
};

// Legacy iptables, whose tables everybody edits.
extern const FirewallKind kIptables;
// nf_tables, where the server's table belongs to it: others have theirs.
extern const FirewallKind kNftables;
// nf_tables with MakePlainTable(), which make() calls: others have rules in it.
extern const FirewallKind kPlainNftables;

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_FIREWALL_H_
