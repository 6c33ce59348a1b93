// SPDX-License-Identifier: Apache-2.0
// What the commands of `nfmeter rule` share.
#ifndef NFMETER_CLI_RULE_COMMANDS_H_
#define NFMETER_CLI_RULE_COMMANDS_H_

#include <string>
#include <vector>

#include "cli/command_tree.h"
#include "cli/views.h"

namespace nfmeter::cli {

// The tables of iptables.
const std::vector<std::string>& RuleTables();

// -4, -6 and --family.
struct FamilyFlags {
  bool ipv4 = false;
  bool ipv6 = false;
  std::string family;

  v1::Family value() const {
    if (ipv6 || family == "ipv6") return v1::FAMILY_IPV6;
    if (ipv4 || family == "ipv4") return v1::FAMILY_IPV4;
    return v1::FAMILY_UNSPECIFIED;
  }
};

// Adds them; `otherwise` is what they mean when none is given.
void AddFamily(CommandTree& tree, CLI::App& command, FamilyFlags& flags,
               const std::string& otherwise);

// Prints `rules`, which are those of `message`.
void PrintRules(Session& session, const google::protobuf::Message& message,
                const Rules& rules);

// rule add.
void AddRuleAdd(CommandTree& tree, CLI::App& rule);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_RULE_COMMANDS_H_
