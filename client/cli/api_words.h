// SPDX-License-Identifier: Apache-2.0
// From the words of the API, which the server speaks, to those of this command.
#ifndef NFMETER_CLI_API_WORDS_H_
#define NFMETER_CLI_API_WORDS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::cli {

// What to write on the command line for a field of a request:
// "rule.match.source" is --src, "counters[3].quota.bytes" is "item 4,
// --quota-bytes". Paths that have no flag come back as they are.
std::string FlagOfField(absl::string_view path);

// A sentence of the server with methods and fields replaced by commands and
// flags: "see ListCounters" becomes "see 'nfmeter counter list'". Fields of
// matches, "use in_interface", become flags where the sentence is about what
// flags have said; a file has those fields.
std::string InCommandWords(absl::string_view sentence,
                           bool about_flags = false);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_API_WORDS_H_
