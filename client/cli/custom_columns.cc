// SPDX-License-Identifier: Apache-2.0
#include "cli/custom_columns.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/message_text.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/struct.pb.h"
#include "yaml-cpp/yaml.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

// Of what has no proto of its own, as 'explain' tells: those of its list.
std::vector<const Message*> ListedObjects(
    const google::protobuf::Struct& answer) {
  std::vector<const Message*> objects;
  for (const auto& [key, value] : answer.fields()) {
    for (const google::protobuf::Value& item : value.list_value().values()) {
      if (item.has_struct_value()) objects.push_back(&item.struct_value());
    }
  }
  if (objects.empty()) objects.push_back(&answer);
  return objects;
}

// The objects that `answer` is about: those of a list, the one of an answer
// about one, and else itself, as a plan that has lists of its own.
std::vector<const Message*> Objects(const Message& answer) {
  if (const auto* facts =
          google::protobuf::DynamicCastToGenerated<google::protobuf::Struct>(
              &answer)) {
    return ListedObjects(*facts);
  }
  const auto* type = answer.GetDescriptor();
  if (!absl::EndsWith(type->name(), "Response")) return {&answer};
  const auto* reflection = answer.GetReflection();
  const FieldDescriptor* only = nullptr;
  int messages = 0;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->message_type() == nullptr || field->is_map()) continue;
    ++messages;
    only = field;
    if (!field->is_repeated()) continue;
    std::vector<const Message*> objects;
    for (int j = 0; j < reflection->FieldSize(answer, field); ++j) {
      objects.push_back(&reflection->GetRepeatedMessage(answer, field, j));
    }
    return objects;
  }
  if (messages == 1) return {&reflection->GetMessage(answer, only)};
  return {&answer};
}

std::string Text(const YAML::Node& node) {
  std::vector<std::string> parts;
  if (node.IsMap()) {
    for (const auto& member : node) {
      parts.push_back(
          absl::StrCat(member.first.Scalar(), "=", Text(member.second)));
    }
  } else if (node.IsSequence()) {
    for (const YAML::Node& item : node) parts.push_back(Text(item));
  } else {
    return node.Scalar();
  }
  return absl::StrJoin(parts, ",");
}

// What stands at `path`. Keys of labels may have dots in them, so the whole
// rest of the path is tried as one key, too.
std::string Find(const YAML::Node& node, const std::string& path) {
  if (path.empty()) return Text(node);
  if (!node.IsMap()) return "<none>";
  if (const YAML::Node whole = node[path]) return Text(whole);
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(path, absl::MaxSplits('.', 1));
  const YAML::Node inner = node[parts.first];
  if (!inner || parts.second.empty()) return "<none>";
  return Find(inner, parts.second);
}

}  // namespace

absl::StatusOr<std::vector<CustomColumn>> ParseCustomColumns(
    absl::string_view text) {
  std::vector<CustomColumn> columns;
  for (absl::string_view column : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(column, absl::MaxSplits(':', 1));
    const absl::string_view path = absl::StripPrefix(parts.second, ".");
    if (parts.first.empty() || path.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", column, "' is not a column such as NAME:.name or ",
                       "LIMIT:.quota.bytes"));
    }
    columns.push_back({std::string(parts.first), std::string(path)});
  }
  return columns;
}

Table CustomTable(const std::vector<CustomColumn>& columns,
                  const Message& answer) {
  Table table;
  for (const CustomColumn& column : columns) {
    table.headings.push_back({column.heading});
  }
  for (const Message* object : Objects(answer)) {
    const YAML::Node node =
        YAML::Load(MessageToJson(*object, JsonLayout::kOneLine));
    std::vector<Cell>& row = table.rows.emplace_back();
    for (const CustomColumn& column : columns) {
      row.push_back({Find(node, column.path)});
    }
  }
  return table;
}

}  // namespace nfmeter::cli
