// SPDX-License-Identifier: GPL-3.0-or-later
// Counters whose values tell which they are, and what counts into some.
#ifndef NFMETER_TESTS_FAULT_ACCOUNTS_H_
#define NFMETER_TESTS_FAULT_ACCOUNTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nfmeter/client.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"

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

// All UDP that leaves into `planned` by a plan, and into "by-hand" by a rule.
inline absl::Status CountUdp(Client& client, const std::string& planned) {
  v1::ApplyPlanRequest request;
  request.mutable_plan()->set_name("customers");
  v1::Account& account = *request.mutable_plan()->add_accounts();
  account.set_counter(planned);
  account.add_directions(v1::DIRECTION_OUT);
  account.mutable_match()->set_protocol("udp");
  absl::Status status = client.ApplyPlan(request).status();
  if (status.ok()) status = client.CreateCounter("by-hand").status();
  if (!status.ok()) return status;
  v1::Rule rule;
  rule.set_id("mine");
  rule.set_chain("OUTPUT");
  rule.set_counter("by-hand");
  rule.mutable_match()->set_protocol("udp");
  return client.CreateRule(rule).status();
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_ACCOUNTS_H_
