// SPDX-License-Identifier: Apache-2.0
#include "cli/csv_objects.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/errors.h"
#include "cli/escapes.h"
#include "cli/match_flags.h"
#include "client/src/status_macros.h"
#include "proto/words/quantity_words.h"

namespace nfmeter::cli {
namespace {

// Fields of one line by column. RFC 4180 without line feeds inside fields,
// which this command never prints.
using Row = std::map<std::string, std::string>;

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
absl::Status ForEachRow(absl::string_view text,
                        const std::function<absl::Status(const Row&)>& take) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const std::vector<std::string> columns =
      SplitLine(absl::StripSuffix(lines.front(), "\r"));
  for (size_t i = 1; i < lines.size(); ++i) {
    const absl::string_view line = absl::StripSuffix(lines[i], "\r");
    if (line.empty()) continue;
    const std::vector<std::string> fields = SplitLine(line);
    absl::Status status;
    Row row;
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
absl::StatusOr<uint64_t> Number(Row row, const std::string& column) {
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

absl::Status ReadCounter(Row row, v1::Counter& counter) {
  counter.set_name(row["name"]);
  const auto packets = Number(row, "packets");
  const auto bytes = Number(row, "bytes");
  const auto quota = Number(row, "quota");
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

absl::Status ReadRule(Row row, v1::Rule& rule) {
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

}  // namespace

bool IsCsv(absl::string_view text, absl::string_view column) {
  const std::vector<std::string> columns =
      SplitLine(text.substr(0, text.find_first_of("\r\n")));
  return columns.size() > 1 && absl::c_linear_search(columns, column);
}

absl::StatusOr<v1::BatchCreateCountersRequest> CountersFromCsv(
    absl::string_view text) {
  v1::BatchCreateCountersRequest request;
  NFM_RETURN_IF_ERROR(ForEachRow(text, [&](const Row& row) {
    return ReadCounter(row, *request.add_counters());
  }));
  return request;
}

absl::StatusOr<v1::BatchCreateRulesRequest> RulesFromCsv(
    absl::string_view text) {
  v1::BatchCreateRulesRequest request;
  NFM_RETURN_IF_ERROR(ForEachRow(text, [&](const Row& row) {
    return ReadRule(row, *request.add_rules());
  }));
  return request;
}

}  // namespace nfmeter::cli
