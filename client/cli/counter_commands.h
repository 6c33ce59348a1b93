// SPDX-License-Identifier: Apache-2.0
// What the commands of `nfmeter counter` share.
#ifndef NFMETER_CLI_COUNTER_COMMANDS_H_
#define NFMETER_CLI_COUNTER_COMMANDS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command_tree.h"
#include "cli/views.h"

namespace nfmeter::cli {

using Labels = std::map<std::string, std::string>;

// The flags that several of these commands have.
struct NameFlags {
  std::vector<std::string> names;
  std::string etag;
  std::string max_staleness;
  std::string request_id;
  bool validate_only = false;
  bool with_rules = false;
  bool managed = false;
};

// --quota-packets and --quota-bytes, of which one may be given.
struct QuotaLimit {
  std::string packets;
  std::string bytes;
};
void AddQuotaLimit(CLI::App& command, QuotaLimit& limit);
// Sets the quota that they ask for, if any.
void SetQuota(const QuotaLimit& limit, v1::Counter& counter);

// Prints `counters`, which are those of `message`.
void PrintCounters(Session& session, const google::protobuf::Message& message,
                   const Counters& counters);

// The argument NAME..., of counters that exist, and --managed.
void AddNames(CommandTree& tree, CLI::App& command, NameFlags& flags);
// --etag, --validate-only and --request-id.
void AddCounterChangeFlags(CLI::App& command, NameFlags& flags);

// The names to work on, with what globs match in place of them; none only when
// standard input had none or --managed left none, which is said. NOT_FOUND: a
// glob matches nothing.
absl::StatusOr<std::vector<std::string>> Names(Session& session,
                                               const NameFlags& flags);

// One name on the command line asks for one counter; "-" for a batch even if
// one line comes, so that a script sees one form of answer.
bool IsSingle(const NameFlags& flags);

// The commands that are not in counter_commands.cc.
void AddCounterCreate(CommandTree& tree, CLI::App& parent);
void AddCounterReset(CommandTree& tree, CLI::App& parent);
void AddCounterUpdate(CommandTree& tree, CLI::App& parent);
void AddCounterDelete(CommandTree& tree, CLI::App& parent);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COUNTER_COMMANDS_H_
