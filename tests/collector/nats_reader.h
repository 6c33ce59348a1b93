// SPDX-License-Identifier: GPL-3.0-or-later
// A program that reads the stream of usage, as users write one.
#ifndef NFMETER_TESTS_COLLECTOR_NATS_READER_H_
#define NFMETER_TESTS_COLLECTOR_NATS_READER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace nfmeter::testing {

// What is in the stream, from its first message to the last.
struct StreamContents {
  // Totals by node's name and counter's name: cumulative, so the last one
  // counts; of an older or another ledger, what goes beyond.
  std::map<std::pair<std::string, std::string>, std::pair<int64_t, int64_t>>
      totals;
  std::vector<std::string> gaps;
  // Records that came twice.
  int doubled = 0;
  int messages = 0;
};

StreamContents ReadStream(const std::string& url);

// Values of a header of all messages of a stream; empty: there is no stream.
std::vector<std::string> ReadHeaders(const std::string& url,
                                     const std::string& stream,
                                     const std::string& header);

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_NATS_READER_H_
