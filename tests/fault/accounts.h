// SPDX-License-Identifier: GPL-3.0-or-later
// Counters whose values tell which they are.
#ifndef NFMETER_TESTS_FAULT_ACCOUNTS_H_
#define NFMETER_TESTS_FAULT_ACCOUNTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "nfmeter/v1/counter.pb.h"

namespace nfmeter::testing {

inline std::string AccountName(size_t i) { return absl::StrCat("account-", i); }

inline uint64_t StartPackets(size_t i) { return 1000 + i; }

// Of accounts 0 to `count` - 1, with StartPackets() of 100 bytes each.
inline v1::BatchCreateCountersRequest CreationOf(size_t count) {
  v1::BatchCreateCountersRequest request;
  for (size_t i = 0; i < count; ++i) {
    v1::Counter* counter = request.add_counters();
    counter->set_name(AccountName(i));
    counter->set_packets(StartPackets(i));
    counter->set_bytes(100 * StartPackets(i));
  }
  return request;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_ACCOUNTS_H_
