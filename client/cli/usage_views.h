// SPDX-License-Identifier: Apache-2.0
// Usage for people: tables, bars, a plot over time.
#ifndef NFMETER_CLI_USAGE_VIEWS_H_
#define NFMETER_CLI_USAGE_VIEWS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/columns.h"
#include "cli/table.h"
#include "cli/time_range.h"
#include "google/protobuf/repeated_field.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::cli {

// What a report was asked.
struct UsageTableOptions {
  Layout layout = Layout::kTable;
  v1::UsageBucket bucket = v1::USAGE_BUCKET_UNSPECIFIED;
  std::vector<std::string> labels;  // grouped by
  bool by_counter = false;
  absl::TimeZone zone;
  bool bars = false;
  bool unicode = false;
};

using UsageRows = google::protobuf::RepeatedPtrField<v1::UsageRow>;
Table UsageTable(const UsageRows& rows, const UsageTableOptions& options);

// Stands before numbers that a gap makes too small.
std::string GapMark(bool unicode);
// What gaps there are, in a sentence: "somebody else reset a counter (2 times)
// ...". Empty: there is none.
std::string DescribeGaps(
    const google::protobuf::RepeatedPtrField<v1::UsageGap>& gaps);

Table GapTable(const google::protobuf::RepeatedPtrField<v1::UsageGap>& gaps,
               absl::TimeZone zone, Layout layout);
Table ConsumerTable(const v1::ListConsumersResponse& response,
                    absl::TimeZone zone, Layout layout);

// What a plot is made of: the bytes of equal parts of a time.
struct PlotOptions {
  TimeRange range;
  absl::TimeZone zone;
  size_t width = 80;
  size_t height = 10;
  bool unicode = false;
};
// Rows of buckets of `width`-independent length, spread over the columns: bytes
// a second, and a mark below each column that a gap touches.
std::string UsagePlot(const UsageRows& rows, const PlotOptions& options);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_USAGE_VIEWS_H_
