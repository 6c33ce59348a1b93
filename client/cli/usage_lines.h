// SPDX-License-Identifier: Apache-2.0
// Records of usage as lines for other programs.
#ifndef NFMETER_CLI_USAGE_LINES_H_
#define NFMETER_CLI_USAGE_LINES_H_

#include <cstdint>
#include <map>
#include <string>

#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::cli {

// jsonl: an object a line. cloudevents: a CloudEvent (1.0, JSON) a line.
enum class LineForm { kJsonl, kCsv, kCloudEvents };

// One line for each total of a record, and for each gap. A line that is written
// twice is the same twice, and says by its id that it is: node, epoch, sequence
// and counter. Totals are cumulative. Remembers what counters are called. Not
// thread-safe.
class UsageLines {
 public:
  explicit UsageLines(LineForm form) : form_(form) {}

  // The heading of csv; else nothing.
  std::string Heading() const;

  // Each ends in a line feed. Gaps have no lines in csv.
  std::string Format(const v1::UsageRecord& record);

 private:
  std::string FormatTotal(const v1::UsageRecord& record, int row) const;
  std::string FormatGap(const v1::UsageRecord& record, int number) const;

  const LineForm form_;
  std::map<uint64_t, v1::UsageCounter> counters_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_USAGE_LINES_H_
