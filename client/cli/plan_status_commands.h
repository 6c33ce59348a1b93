// SPDX-License-Identifier: Apache-2.0
// nfmeter plan status | watch | explain
#ifndef NFMETER_CLI_PLAN_STATUS_COMMANDS_H_
#define NFMETER_CLI_PLAN_STATUS_COMMANDS_H_

#include <string>

#include "cli/command_tree.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter::cli {

// What a plan costs, in a line without an end.
std::string CostText(const v1::PlanCost& cost);

void AddPlanStatusCommands(CommandTree& tree, CLI::App& plan);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PLAN_STATUS_COMMANDS_H_
