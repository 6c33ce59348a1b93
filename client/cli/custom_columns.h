// SPDX-License-Identifier: Apache-2.0
// -o custom-columns=NAME:.name,TENANT:.labels.tenant
#ifndef NFMETER_CLI_CUSTOM_COLUMNS_H_
#define NFMETER_CLI_CUSTOM_COLUMNS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/table.h"
#include "google/protobuf/message.h"

namespace nfmeter::cli {

// What -o begins with for this form.
inline constexpr char kCustomColumns[] = "custom-columns=";

struct CustomColumn {
  std::string heading;
  std::string path;  // of the field in JSON, with dots between: "quota.bytes"
};

// Of "NAME:.name,TENANT:.labels.tenant". INVALID_ARGUMENT with a sentence.
absl::StatusOr<std::vector<CustomColumn>> ParseCustomColumns(
    absl::string_view text);

// A row for each object in an answer: of a list's counters or rules, say, or
// the one of an answer about one. Fields that are not there are "<none>".
Table CustomTable(const std::vector<CustomColumn>& columns,
                  const google::protobuf::Message& answer);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_CUSTOM_COLUMNS_H_
