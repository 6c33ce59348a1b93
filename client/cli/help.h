// SPDX-License-Identifier: Apache-2.0
// How help looks.
#ifndef NFMETER_CLI_HELP_H_
#define NFMETER_CLI_HELP_H_

#include <string>

#include "CLI/CLI.hpp"

namespace nfmeter::cli {

// Flags that work but that help does not list one by one. (CLI11 forgets the
// names of those without a group.)
inline constexpr char kUnlistedGroup[] = "Unlisted";

// What it does, how it is written, its flags, examples; 80 columns wide. Flags
// that have a --not- form show it beside them.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* command, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_HELP_H_
