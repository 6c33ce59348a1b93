// SPDX-License-Identifier: Apache-2.0
// Tables of the API's objects.
#ifndef NFMETER_CLI_VIEWS_H_
#define NFMETER_CLI_VIEWS_H_

#include <string>

#include "cli/columns.h"
#include "cli/table.h"
#include "google/protobuf/repeated_field.h"
#include "google/protobuf/timestamp.pb.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {

using Counters = google::protobuf::RepeatedPtrField<v1::Counter>;
using Rules = google::protobuf::RepeatedPtrField<v1::Rule>;
using Chains = google::protobuf::RepeatedPtrField<v1::Chain>;

// A list of one, for what prints lists.
template <typename Object>
google::protobuf::RepeatedPtrField<Object> ListOf(const Object& object) {
  google::protobuf::RepeatedPtrField<Object> list;
  *list.Add() = object;
  return list;
}

// The names of counters, chains, plans and so on.
template <typename Objects>
std::vector<std::string> NamesOf(const Objects& objects) {
  std::vector<std::string> names;
  for (const auto& object : objects) names.push_back(object.name());
  return names;
}

Table CounterTable(const Counters& counters, Layout layout);
Table RuleTable(const Rules& rules, Layout layout);
Table ChainTable(const Chains& chains, Layout layout);

// The node for people: facts, capabilities, notices. Wide adds the methods
// that need each capability and the limits. Details are wrapped to `width`
// columns, 0: not at all.
std::string NodeText(const v1::Node& node, Layout layout, bool color,
                     size_t width = 0);
// For csv: one line of facts.
Table NodeTable(const v1::Node& node);

// A quota's limit: "10.0 GiB", or plain "10737418240".
std::string QuotaText(const v1::Counter& counter, Layout layout);

// RFC 3339 in UTC. Empty when absent.
std::string TimeText(const google::protobuf::Timestamp& time);
// The same without the fraction.
std::string SecondsText(google::protobuf::Timestamp time);

// What to say of one rule in a sentence:
// "ipv4 filter INPUT: tcp sport 80 -> http-traffic".
std::string DescribeRule(const v1::Rule& rule);

// What a plan costs, in a line without an end.
std::string CostText(const v1::PlanCost& cost);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_VIEWS_H_
