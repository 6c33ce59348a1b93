// SPDX-License-Identifier: Apache-2.0
// Messages as JSON and YAML.
#ifndef NFMETER_CLI_MESSAGE_TEXT_H_
#define NFMETER_CLI_MESSAGE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "google/protobuf/struct.pb.h"

namespace nfmeter::cli {

// The proto3 JSON mapping (lowerCamelCase names, 64-bit numbers as strings), so
// any protobuf library reads it back. Fields at their default are printed, so
// that scripts find "packets": "0"; but of a RuleMatch, with its forty fields,
// only those that are set, and its lists. One line each field, or all in one
// line.
enum class JsonLayout { kLines, kOneLine };
std::string MessageToJson(const google::protobuf::Message& message,
                          JsonLayout layout);

// The same fields in block YAML; 64-bit numbers are plain numbers there. Ends
// with a line feed.
std::string MessageToYaml(const google::protobuf::Message& message);

// Sets a text in an object that has no proto of its own. 64-bit numbers are
// texts, as in all JSON of this command: other languages' numbers hold 53 bits.
void SetText(google::protobuf::Struct& object, absl::string_view key,
             absl::string_view value);

// One fact, {"status": "SERVING"}, as a message to print.
google::protobuf::Struct Fact(absl::string_view key, absl::string_view value);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_MESSAGE_TEXT_H_
