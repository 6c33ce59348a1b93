// SPDX-License-Identifier: Apache-2.0
#include "cli/input.h"

#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/errors.h"
#include "cli/escapes.h"
#include "cli/match_flags.h"
#include "client/src/status_macros.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "proto/words/quantity_words.h"
#include "yaml-cpp/yaml.h"

namespace nfmeter::cli {
namespace {

constexpr char kStandardInput[] = "standard input";

using ::google::protobuf::util::JsonParseOptions;
using ::google::protobuf::util::JsonStringToMessage;
using ::google::protobuf::util::MessageToJsonString;

void AppendLines(absl::string_view text, std::vector<std::string>& names) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) names.push_back(NameBytes(line));
  }
}

absl::StatusOr<std::string> ReadAll(std::istream& in, absl::string_view what) {
  if (in) errno = 0;  // else it is that of opening
  std::ostringstream text;
  // By way of <<, which makes a failure of the exception that a read throws
  // where `what` is a folder, say; of nothing to read, too.
  text << in.rdbuf();
  if (text.fail() && errno != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("can't read ", what));
  }
  return text.str();
}

absl::Status JsonError(absl::string_view source, absl::string_view message) {
  // The first line says it; the others draw the place.
  const absl::string_view line = message.substr(0, message.find('\n'));
  return UsageError(absl::StrCat(source, " is not what is wanted: ", line));
}

// The object in the answer of a call about one, {"counter": {...}}, as JSON;
// empty if it is none. `list` is "counters".
std::string OnlyObject(const google::protobuf::Value& shape,
                       absl::string_view list) {
  const auto& fields = shape.struct_value().fields();
  const auto object = fields.find(std::string(absl::StripSuffix(list, "s")));
  std::string text;
  if (fields.size() == 1 && object != fields.end() &&
      object->second.has_struct_value()) {
    if (!MessageToJsonString(object->second, &text).ok()) return "";
  }
  return text;
}

// `text` as a Request whose repeated field `list` holds the objects, in
// whichever form it is written: request, answer, array, or one object.
template <typename Request>
absl::StatusOr<Request> ParseBatch(absl::string_view text,
                                   absl::string_view list,
                                   absl::string_view source) {
  google::protobuf::Value shape;
  auto status = JsonStringToMessage(std::string(text), &shape);
  if (!status.ok()) return JsonError(source, std::string(status.message()));
  JsonParseOptions options;
  std::string wrapped(text);
  if (shape.has_list_value()) {
    wrapped = absl::StrCat("{\"", list, "\":", text, "}");
  } else if (!shape.has_struct_value()) {
    return JsonError(source, "it is neither an array nor an object");
  } else if (!shape.struct_value().fields().contains(std::string(list))) {
    const std::string only = OnlyObject(shape, list);
    wrapped =
        absl::StrCat("{\"", list, "\":[", only.empty() ? text : only, "]}");
  } else {
    // A list's answer has more beside the objects: nextPageToken, totalSize.
    options.ignore_unknown_fields =
        shape.struct_value().fields().contains("totalSize");
  }
  Request request;
  status = JsonStringToMessage(wrapped, &request, options);
  if (!status.ok()) return JsonError(source, std::string(status.message()));
  return request;
}

// YAML as JSON, for protobuf to read: scalars in quotes but for words that have
// a meaning without, so that numbers of 64 bits stay whole.
void AppendJson(const YAML::Node& node, std::string& json) {
  YAML::Emitter scalar;
  switch (node.Type()) {
    case YAML::NodeType::Map:
      json += "{";
      for (const auto& member : node) {
        if (json.back() != '{') json += ",";
        AppendJson(member.first, json);
        json += ":";
        AppendJson(member.second, json);
      }
      json += "}";
      break;
    case YAML::NodeType::Sequence:
      json += "[";
      for (const YAML::Node& item : node) {
        if (json.back() != '[') json += ",";
        AppendJson(item, json);
      }
      json += "]";
      break;
    case YAML::NodeType::Scalar:
      if (node.Tag() != "!" &&
          (node.Scalar() == "true" || node.Scalar() == "false")) {
        json += node.Scalar();
      } else {
        scalar.SetStringFormat(YAML::DoubleQuoted);
        scalar.SetOutputCharset(YAML::EscapeAsJson);
        scalar << node.Scalar();
        json += scalar.c_str();
      }
      break;
    default:
      json += "null";
  }
}

absl::StatusOr<std::string> YamlToJson(absl::string_view text,
                                       absl::string_view source) {
  try {
    std::string json;
    AppendJson(YAML::Load(std::string(text)), json);
    return json;
  } catch (const YAML::Exception& error) {
    return UsageError(
        absl::StrCat(source, " can't be read as YAML: ", error.what()));
  }
}

// Rather than names one a line: what this command prints begins so.
bool IsYaml(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  absl::ConsumePrefix(&text, "---\n");
  for (const absl::string_view start :
       {"counters:\n", "counter:\n", "- name: ", "name: "}) {
    if (absl::StartsWith(text, start)) return true;
  }
  return false;
}

bool IsJson(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  return absl::StartsWith(text, "{") || absl::StartsWith(text, "[");
}

// --- CSV that this command prints

// Fields of one line by column. RFC 4180 without line feeds inside fields,
// which this command never prints.
using CsvRow = std::map<std::string, std::string>;

std::vector<std::string> SplitLine(absl::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back().push_back(line[++i]);
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  return fields;
}

// Calls `take` with each row; what it returns gets the line's number.
absl::Status ForEachRow(
    absl::string_view text,
    const std::function<absl::Status(const CsvRow&)>& take) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const std::vector<std::string> columns =
      SplitLine(absl::StripSuffix(lines.front(), "\r"));
  for (size_t i = 1; i < lines.size(); ++i) {
    const absl::string_view line = absl::StripSuffix(lines[i], "\r");
    if (line.empty()) continue;
    const std::vector<std::string> fields = SplitLine(line);
    absl::Status status;
    CsvRow row;
    if (fields.size() != columns.size()) {
      status = absl::InvalidArgumentError(
          absl::StrCat("it has ", fields.size(), " fields, the first line ",
                       columns.size()));
    } else {
      for (size_t column = 0; column < columns.size(); ++column) {
        row[columns[column]] = fields[column];
      }
      status = take(row);
    }
    if (!status.ok()) {
      return UsageError(
          absl::StrCat("line ", i + 1, " of the CSV: ", status.message()));
    }
  }
  return absl::OkStatus();
}

// A count in a column that may be empty or missing.
absl::StatusOr<uint64_t> CsvNumber(CsvRow row, const std::string& column) {
  return row[column].empty() ? 0 : ParseCount(row[column]);
}

absl::Status ReadLabels(absl::string_view text, v1::Counter& counter) {
  for (absl::string_view label : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (!absl::StrContains(label, '=')) {
      return absl::InvalidArgumentError(
          absl::StrCat("the label '", label, "' is not KEY=VALUE"));
    }
    (*counter.mutable_labels())[parts.first] = UnescapeBytes(parts.second);
  }
  return absl::OkStatus();
}

absl::Status ReadCounter(CsvRow row, v1::Counter& counter) {
  counter.set_name(row["name"]);
  const auto packets = CsvNumber(row, "packets");
  const auto bytes = CsvNumber(row, "bytes");
  const auto quota = CsvNumber(row, "quota");
  for (const auto& number : {packets, bytes, quota}) {
    if (!number.ok()) return number.status();
  }
  counter.set_packets(*packets);
  counter.set_bytes(*bytes);
  if (!row["quota"].empty()) {
    if (row["quota_unit"] == "packets") {
      counter.mutable_quota()->set_packets(*quota);
    } else {
      counter.mutable_quota()->set_bytes(*quota);
    }
  }
  counter.set_description(UnescapeBytes(row["description"]));
  return ReadLabels(row["labels"], counter);
}

absl::Status ReadRule(CsvRow row, v1::Rule& rule) {
  if (row["managed"] == "false") {
    return absl::InvalidArgumentError(
        absl::StrCat("others made the rule ", row["id"],
                     "; 'rule list --managed' lists those of nfmeter"));
  }
  rule.set_id(row["id"]);
  rule.set_table(row["table"]);
  rule.set_chain(row["chain"]);
  rule.set_counter(row["counter"]);
  NFM_ASSIGN_OR_RETURN(const v1::Family family, ParseFamily(row["family"]));
  rule.set_family(family);
  NFM_ASSIGN_OR_RETURN(const v1::Verdict verdict, ParseVerdict(row["verdict"]));
  rule.set_verdict(verdict);
  NFM_ASSIGN_OR_RETURN(auto match,
                       ParseMatchText(row["match"], family == v1::FAMILY_IPV6));
  *rule.mutable_match() = std::move(match);
  rule.mutable_match()->set_comment(row["comment"]);
  return absl::OkStatus();
}

// Whether the first line has a column of this name.
bool IsCsv(absl::string_view text, absl::string_view column) {
  const std::vector<std::string> columns =
      SplitLine(text.substr(0, text.find_first_of("\r\n")));
  return columns.size() > 1 && absl::c_linear_search(columns, column);
}

// From 'counter list -o csv': names, values to start from, quotas, labels.
// Columns may be missing or in another order; what the server alone decides is
// not read. INVALID_ARGUMENT names the line.
absl::StatusOr<v1::BatchCreateCountersRequest> CountersFromCsv(
    absl::string_view text) {
  v1::BatchCreateCountersRequest request;
  NFM_RETURN_IF_ERROR(ForEachRow(text, [&](const CsvRow& row) {
    return ReadCounter(row, *request.add_counters());
  }));
  return request;
}

// From 'rule list -o csv'. INVALID_ARGUMENT also for a rule that others made.
absl::StatusOr<v1::BatchCreateRulesRequest> RulesFromCsv(
    absl::string_view text) {
  v1::BatchCreateRulesRequest request;
  NFM_RETURN_IF_ERROR(ForEachRow(text, [&](const CsvRow& row) {
    return ReadRule(row, *request.add_rules());
  }));
  return request;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandNames(
    const std::vector<std::string>& names, std::istream& in) {
  std::vector<std::string> result;
  bool read = false;
  for (const std::string& name : names) {
    if (name != "-") {
      result.push_back(NameBytes(name));
      continue;
    }
    if (read) return UsageError("'-', standard input, is given twice");
    read = true;
    NFM_ASSIGN_OR_RETURN(const std::string text, ReadAll(in, kStandardInput));
    AppendLines(text, result);
  }
  return result;
}

absl::StatusOr<std::string> ReadSource(const std::string& path,
                                       std::istream& in) {
  if (path == "-") return ReadAll(in, kStandardInput);
  std::ifstream file(path, std::ios::binary);
  auto text = ReadAll(file, absl::StrCat("'", path, "'"));
  if (!text.ok()) return UsageError(text.status().message());
  return text;
}

absl::StatusOr<v1::BatchCreateCountersRequest> ParseCounters(
    absl::string_view text, absl::string_view source) {
  using Request = v1::BatchCreateCountersRequest;
  if (IsJson(text)) return ParseBatch<Request>(text, "counters", source);
  if (IsCsv(text, "name")) return CountersFromCsv(text);
  if (IsYaml(text)) {
    NFM_ASSIGN_OR_RETURN(const auto json, YamlToJson(text, source));
    return ParseBatch<Request>(json, "counters", source);
  }
  std::vector<std::string> names;
  AppendLines(text, names);
  Request request;
  for (std::string& name : names) {
    if (name.front() == '#') continue;
    request.add_counters()->set_name(std::move(name));
  }
  return request;
}

absl::StatusOr<v1::BatchCreateRulesRequest> ParseRules(
    absl::string_view text, absl::string_view source) {
  using Request = v1::BatchCreateRulesRequest;
  if (IsJson(text)) return ParseBatch<Request>(text, "rules", source);
  if (IsCsv(text, "chain")) return RulesFromCsv(text);
  NFM_ASSIGN_OR_RETURN(const auto json, YamlToJson(text, source));
  return ParseBatch<Request>(json, "rules", source);
}

}  // namespace nfmeter::cli
