// Messages as JSON and YAML.
#ifndef NFMETER_CLI_MESSAGE_TEXT_H_
#define NFMETER_CLI_MESSAGE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace nfmeter::cli {

// The proto3 JSON mapping (lowerCamelCase names, 64-bit numbers as strings), so
// any protobuf library reads it back. Unlike protobuf's own printer, which
// prints fields at their default everywhere or nowhere, this one leaves them
// out of a RuleMatch, with its forty fields, and prints them elsewhere, so that
// scripts find "packets": "0". One line each field, or all in one line.
enum class JsonLayout { kLines, kOneLine };
std::string MessageToJson(const google::protobuf::Message& message,
                          JsonLayout layout);

// The same fields in block YAML; 64-bit numbers are plain numbers there. Ends
// with a line feed.
std::string MessageToYaml(const google::protobuf::Message& message);

// `text` as a JSON string with its quotes; also valid as a YAML scalar.
std::string QuoteJson(absl::string_view text);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_MESSAGE_TEXT_H_
