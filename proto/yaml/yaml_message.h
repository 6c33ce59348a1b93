// SPDX-License-Identifier: Apache-2.0
// YAML <-> protobuf messages of the API.
#ifndef NFMETER_PROTO_YAML_YAML_MESSAGE_H_
#define NFMETER_PROTO_YAML_YAML_MESSAGE_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace nfmeter {

// Reads one YAML document (JSON is YAML, too) in the shape of `message`, by the
// names of its fields as the proto has them, or its JSON. Strict: unknown
// fields, keys that stand there twice and values that don't fit are wrong. Enum
// values may be written without their common prefix and in lower case
// ("forwarded"), PortRange and IdRange as one number or "first-last".
//
// Returns what is wrong, a line each: "NAME:LINE:COLUMN: what", at most a
// hundred; empty: nothing, and `message` is filled. `name` is the file's.
std::vector<std::string> ReadYaml(const std::string& text,
                                  const std::string& name,
                                  google::protobuf::Message* message);

// The reverse: fields that are set, in the order of their numbers, as
// ReadYaml() reads them.
std::string WriteYaml(const google::protobuf::Message& message);

}  // namespace nfmeter

#endif  // NFMETER_PROTO_YAML_YAML_MESSAGE_H_
