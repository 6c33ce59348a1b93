// SPDX-License-Identifier: GPL-3.0-or-later
// Messages that no proper client sends, to every method.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::FirstAnswerRaw;
using ::nfmeter::testing::StatusIs;
using Code = absl::StatusCode;

// "/nfmeter.v1.CounterService/CreateCounter" and so on, all that there are.
std::vector<std::string> AllMethods() {
  std::vector<std::string> methods;
  for (const google::protobuf::FileDescriptor* file :
       {v1::Counter::descriptor()->file(), v1::Rule::descriptor()->file(),
        v1::SnapshotFrame::descriptor()->file(),
        v1::Node::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(absl::StrCat("/", file->service(s)->full_name(), "/",
                                       file->service(s)->method(m)->name()));
      }
    }
  }
  return methods;
}

MATCHER(IsRefusal, "") {
  *result_listener << arg.status();
  return arg.status().code() == Code::kInvalidArgument &&
         absl::StrContains(arg.status().message(), "is not a valid nfmeter.v1.");
}

class MalformedMessageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    channel_ = grpc::CreateChannel(server_.target(),
                                   grpc::InsecureChannelCredentials());
  }
  void TearDown() override {
    EXPECT_FALSE(server_.HasEnded()) << server_.process().Log();
    const auto client = server_.Connect();
    EXPECT_OK(client->CreateCounter("still-alive").status());
    EXPECT_TRUE(client->GetSnapshot()->complete);
  }

  FaultServer server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(MalformedMessageTest, BytesThatAreNoMessageAreRefused) {
  const std::vector<std::string> messages = {
      // A field number 0, a length beyond the end, an unending varint, a group
      // without its end, a wire type that does not exist.
      std::string(1, '\0'), "\x0a\xff\xff\xff\xff\x0f", std::string(20, '\xff'),
      std::string(1000, '\x0b'), "\x0f"};
  ASSERT_GE(AllMethods().size(), 19u);
  for (const std::string& method : AllMethods()) {
    for (const std::string& message : messages) {
      EXPECT_THAT(FirstAnswerRaw(channel_, method, message), IsRefusal())
          << method;
    }
  }
}

// Which may be a message by chance: then it gets an answer.
TEST_F(MalformedMessageTest, RandomBytesNeverGoUnanswered) {
  std::minstd_rand random(1);
  for (const std::string& method : AllMethods()) {
    for (int i = 0; i < 30; ++i) {
      std::string message(random() % 300, '\0');
      for (char& byte : message) byte = static_cast<char>(random());
      const absl::StatusCode code =
          FirstAnswerRaw(channel_, method, message).status().code();
      EXPECT_NE(code, Code::kUnknown) << method;
      EXPECT_NE(code, Code::kUnavailable) << method;
      EXPECT_NE(code, Code::kDeadlineExceeded) << method;
    }
  }
}

TEST_F(MalformedMessageTest, DamagedRequestsNeverGoUnanswered) {
  v1::BatchCreateCountersRequest counters;
  counters.add_counters()->set_name("damaged");
  counters.mutable_counters(0)->mutable_quota()->set_bytes(1000);
  (*counters.mutable_counters(0)->mutable_labels())["a"] = "b";
  v1::BatchCreateRulesRequest rules;
  v1::Rule* rule = rules.add_rules();
  rule->set_id("damaged");
  rule->set_chain("INPUT");
  rule->set_counter("damaged");
  rule->mutable_match()->set_source("192.0.2.0/24");
  rule->mutable_match()->set_comment("text");
  const std::pair<std::string, std::string> requests[] = {
      {"/nfmeter.v1.CounterService/BatchCreateCounters",
       counters.SerializeAsString()},
      {"/nfmeter.v1.RuleService/BatchCreateRules", rules.SerializeAsString()}};
  for (const auto& [method, bytes] : requests) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (const char flip : {'\x01', '\x80', '\xff'}) {
        std::string damaged = bytes;
        damaged[i] ^= flip;
        const absl::StatusCode code =
            FirstAnswerRaw(channel_, method, damaged).status().code();
        EXPECT_NE(code, Code::kUnknown);
        EXPECT_NE(code, Code::kUnavailable);
        EXPECT_NE(code, Code::kDeadlineExceeded);
      }
    }
  }
}

TEST_F(MalformedMessageTest, RequestsOverTheBoundAreRefusedByEveryMethod) {
  // One unknown field of 17 MiB.
  const size_t size = 17 << 20;
  std::string message = "\xfa\x7f";
  for (size_t rest = size; rest > 0; rest >>= 7) {
    message.push_back(
        static_cast<char>((rest & 0x7f) | (rest > 127 ? 128 : 0)));
  }
  message.append(size, 'x');
  for (const std::string& method : AllMethods()) {
    EXPECT_THAT(FirstAnswerRaw(channel_, method, message),
                StatusIs(Code::kResourceExhausted))
        << method;
  }
  EXPECT_LT(testing::ResidentKiB(server_.pid()), 256u << 10);
}

TEST_F(MalformedMessageTest, NamesThatAreNotUtf8AreRefused) {
  // CreateCounterRequest{counter{name}}, GetCounterRequest{name},
  // CreateRuleRequest{rule{chain}}, GetSnapshotRequest{filter{name_glob}}.
  const std::pair<std::string, std::string> requests[] = {
      {"/nfmeter.v1.CounterService/CreateCounter", "\x0a\x04\x0a\x02\xff\xfe"},
      {"/nfmeter.v1.CounterService/GetCounter", "\x0a\x02\xff\xfe"},
      {"/nfmeter.v1.RuleService/CreateRule", "\x0a\x04\x22\x02\xff\xfe"},
      {"/nfmeter.v1.SnapshotService/GetSnapshot", "\x0a\x04\x0a\x02\xff\xfe"}};
  for (const auto& [method, message] : requests) {
    EXPECT_THAT(FirstAnswerRaw(channel_, method, message), IsRefusal())
        << method;
  }
}

}  // namespace
}  // namespace nfmeter
