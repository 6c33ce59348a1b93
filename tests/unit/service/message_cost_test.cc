// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/support/byte_buffer.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "service/gate/message_bytes.h"

namespace nfmeter::service {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;

size_t CostOf(const std::string& bytes,
              const google::protobuf::Message& prototype) {
  const grpc::Slice slice(bytes);
  return ParsedBytes(grpc::ByteBuffer(&slice, 1), prototype);
}

// At least what the message takes, and not much more.
void ExpectCostOf(const google::protobuf::Message& message) {
  const size_t taken = message.SpaceUsedLong();
  EXPECT_THAT(CostOf(message.SerializeAsString(), message),
              AllOf(Ge(taken * 3 / 4), Le(taken * 3)));
}

TEST(MessageCostTest, IsAboutWhatParsingTakes) {
  v1::BatchCreateCountersRequest counters;
  v1::BatchCreateRulesRequest rules;
  v1::BatchGetCountersRequest names;
  for (int i = 0; i < 1000; ++i) {
    v1::Counter* const counter = counters.add_counters();
    counter->set_name(absl::StrCat("counter-", i));
    (*counter->mutable_labels())["tenant"] = "a";
    counter->mutable_quota()->set_bytes(i + 1);
    v1::Rule* const rule = rules.add_rules();
    rule->set_counter(counter->name());
    rule->set_chain("INPUT");
    rule->mutable_match()->set_source("192.0.2.0/24");
    rule->mutable_match()->add_source_ports()->set_first(i);
    names.add_names(counter->name());
  }
  ExpectCostOf(counters);
  ExpectCostOf(rules);
  ExpectCostOf(names);
}

TEST(MessageCostTest, EmptyElementsAreSeen) {
  v1::BatchCreateRulesRequest rules;
  for (int i = 0; i < 1000; ++i) rules.add_rules()->mutable_match();
  EXPECT_EQ(rules.SerializeAsString().size(), 4000u);
  ExpectCostOf(rules);
}

TEST(MessageCostTest, BytesThatAreNoMessageEndIt) {
  const v1::BatchCreateRulesRequest rules;
  EXPECT_EQ(CostOf(std::string(100'000, '\xff'), rules), 0u);
  EXPECT_EQ(CostOf("", rules), 0u);
  // A length far beyond the end.
  EXPECT_LT(CostOf("\x0a\xff\xff\xff\xff\x07", rules), 2000u);
}

}  // namespace
}  // namespace nfmeter::service
