// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/counter/validate_counter.h"

#include <string>

#include "gmock/gmock.h"
#include "service/gate/request_checks.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<FieldViolation> ViolationsOf(const v1::Counter& counter) {
  FieldErrors errors;
  ReadNewCounter(counter, "counter", errors);
  return GetErrorDetails(errors.ToStatus()).violations;
}

v1::Counter Named(const std::string& name) {
  v1::Counter counter;
  counter.set_name(name);
  return counter;
}

TEST(ReadNewCounterTest, TakesNamesOfOneTo253BytesOfTheAlphabet) {
  EXPECT_THAT(ViolationsOf(Named("a")), IsEmpty());
  EXPECT_THAT(ViolationsOf(Named("AZaz09._:/@+-")), IsEmpty());
  EXPECT_THAT(ViolationsOf(Named(std::string(253, 'x'))), IsEmpty());
}

TEST(ReadNewCounterTest, RefusesNamesOfZero254And10000Bytes) {
  EXPECT_THAT(ViolationsOf(Named("")),
              ElementsAre(FieldsAre("counter.name", HasSubstr("is empty"))));
  EXPECT_THAT(ViolationsOf(Named(std::string(254, 'x'))),
              ElementsAre(FieldsAre("counter.name",
                                    "'" + std::string(64, 'x') +
                                        "...' is 254 bytes long; at most "
                                        "253")));
  EXPECT_THAT(ViolationsOf(Named(std::string(10'000, 'x'))),
              ElementsAre(FieldsAre("counter.name",
                                    "'" + std::string(64, 'x') +
                                        "...' is 10000 bytes long; at most "
                                        "253")));
}

TEST(ReadNewCounterTest, RefusesNamesThatTheServerHides) {
  EXPECT_THAT(
      ViolationsOf(Named(".nfmeterd.tail.0123456789abcdef")),
      ElementsAre(FieldsAre("counter.name", HasSubstr("server's own"))));
  EXPECT_THAT(ViolationsOf(Named(".nfmeterd")), IsEmpty());
}

TEST(ReadNewCounterTest, SaysWhichCharacterIsWrongAndWhere) {
  EXPECT_THAT(
      ViolationsOf(Named("ab\x01")),
      ElementsAre(FieldsAre("counter.name", HasSubstr("'\\x01' at byte 2"))));
  EXPECT_THAT(ViolationsOf(Named("a b")),
              ElementsAre(FieldsAre("counter.name",
                                    HasSubstr("'a b' has ' ' at byte 1"))));
  EXPECT_THAT(ViolationsOf(Named("caf\xc3\xa9")),
              ElementsAre(FieldsAre(
                  "counter.name",
                  HasSubstr("'caf\xc3\xa9' has '\xc3\xa9' at byte 3"))));
  EXPECT_THAT(
      ViolationsOf(Named(std::string("a\0b", 3))),
      ElementsAre(FieldsAre("counter.name", HasSubstr("'\\x00' at byte 1"))));
}

TEST(ReadNewCounterTest, AQuotaNeedsALimitAboveZero) {
  v1::Counter counter = Named("a");
  counter.mutable_quota();
  EXPECT_THAT(ViolationsOf(counter),
              ElementsAre(FieldsAre("counter.quota", HasSubstr("no limit"))));
  counter.mutable_quota()->set_bytes(0);
  EXPECT_THAT(
      ViolationsOf(counter),
      ElementsAre(FieldsAre("counter.quota.bytes", "must be greater than 0")));
  counter.mutable_quota()->set_packets(0);
  EXPECT_THAT(ViolationsOf(counter),
              ElementsAre(FieldsAre("counter.quota.packets",
                                    "must be greater than 0")));
}

TEST(ReadNewCounterTest, ReadsQuotaLabelsAndStartingValues) {
  v1::Counter counter = Named("a");
  counter.set_packets(5);
  counter.set_bytes(500);
  counter.mutable_quota()->set_bytes(1000);
  (*counter.mutable_labels())["team"] = "blue";
  FieldErrors errors;
  const accounting::Counter read = ReadNewCounter(counter, "counter", errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(read.object,
            (kernel::AcctObject{.name = "a",
                                .packets = 5,
                                .bytes = 500,
                                .quota = kernel::QuotaLimit{
                                    kernel::QuotaLimit::Unit::kBytes, 1000}}));
  EXPECT_EQ(read.labels, (accounting::Labels{{"team", "blue"}}));
}

TEST(ReadNewCounterTest, BoundsLabels) {
  v1::Counter counter = Named("a");
  auto& labels = *counter.mutable_labels();
  labels[""] = "v";
  labels["UPPER"] = "v";
  labels[std::string(64, 'k')] = "v";
  labels["long"] = std::string(256, 'v');
  EXPECT_EQ(ViolationsOf(counter).size(), 4);
  labels.clear();
  labels[std::string(63, 'k')] = std::string(255, 'v');
  EXPECT_THAT(ViolationsOf(counter), IsEmpty());
  for (int i = 0; i < 16; ++i) labels[std::to_string(i)] = "v";
  EXPECT_THAT(ViolationsOf(counter),
              ElementsAre(FieldsAre("counter.labels",
                                    HasSubstr("17 labels; at most 16"))));
}

TEST(ReadNewCountersTest, NamesAllWrongItemsAndRepeats) {
  google::protobuf::RepeatedPtrField<v1::Counter> counters;
  for (const char* name : {"a", "b c", "a", ""}) *counters.Add() = Named(name);
  FieldErrors errors;
  ReadNewCounters(counters, errors);
  EXPECT_THAT(
      GetErrorDetails(errors.ToStatus()).violations,
      ElementsAre(
          FieldsAre("counters[1].name", HasSubstr("at byte 1")),
          FieldsAre("counters[2].name", "'a' is the same as counters[0].name"),
          FieldsAre("counters[3].name", HasSubstr("is empty"))));
}

TEST(ReadNewCountersTest, TenThousandWrongItemsMakeABoundedError) {
  google::protobuf::RepeatedPtrField<v1::Counter> counters;
  for (int i = 0; i < 10'000; ++i) *counters.Add() = Named("wrong name");
  FieldErrors errors;
  ReadNewCounters(counters, errors);
  const ErrorDetails details = GetErrorDetails(errors.ToStatus());
  EXPECT_LT(details.violations.size(), 100);
  EXPECT_THAT(details.violations.back().description,
              HasSubstr("more wrong fields"));
}

TEST(ReadCounterNameTest, ReadsForeignNamesAsTheyAreShown) {
  const std::string kernel_name("a b\\\xff", 5);
  FieldErrors errors;
  EXPECT_EQ(ReadCounterName(accounting::ShownName(kernel_name), "name", errors),
            kernel_name);
  EXPECT_EQ(ReadCounterName("50%", "name", errors), "50%");
  EXPECT_TRUE(errors.empty());
}

TEST(ReadCounterNameTest, RefusesWhatNoCounterIsCalled) {
  for (const std::string& name :
       {std::string(), std::string(254, 'x'), std::string(10'000, 'x'),
        std::string("a b"), std::string("a\\"), std::string("a\\x4"),
        std::string("a\\xzz"), std::string("a\\x00"), std::string("a\nb")}) {
    FieldErrors errors;
    ReadCounterName(name, "name", errors);
    EXPECT_FALSE(errors.empty()) << name;
  }
}

TEST(ReadCounterNameTest, CountsTheKernelsBytesNotTheShownOnes) {
  FieldErrors errors;
  std::string shown;
  for (int i = 0; i < 253; ++i) shown += "\\xff";
  EXPECT_EQ(ReadCounterName(shown, "name", errors), std::string(253, '\xff'));
  EXPECT_TRUE(errors.empty());
}

TEST(CheckRequestIdTest, TakesUpTo128PrintableCharacters) {
  FieldErrors errors;
  CheckRequestId("", errors);
  CheckRequestId(std::string(128, '~'), errors);
  EXPECT_TRUE(errors.empty());
  CheckRequestId(std::string(129, 'x'), errors);
  CheckRequestId("a\n", errors);
  CheckRequestId("caf\xc3\xa9", errors);
  EXPECT_EQ(GetErrorDetails(errors.ToStatus()).violations.size(), 3);
}

TEST(ReadMaxStalenessTest, RefusesNegativeAndMalformedDurations) {
  google::protobuf::Duration duration;
  FieldErrors errors;
  duration.set_seconds(1);
  duration.set_nanos(500'000'000);
  EXPECT_EQ(ReadMaxStaleness(duration, errors), absl::Milliseconds(1500));
  EXPECT_TRUE(errors.empty());
  duration.set_seconds(-1);
  ReadMaxStaleness(duration, errors);
  duration.set_seconds(0);
  duration.set_nanos(2'000'000'000);
  ReadMaxStaleness(duration, errors);
  EXPECT_EQ(GetErrorDetails(errors.ToStatus()).violations.size(), 2);
}

TEST(ReadPageSizeTest, DefaultsAndCuts) {
  FieldErrors errors;
  const Limits limits{.max_page_size = 5000};
  EXPECT_EQ(ReadPageSize(0, limits, errors), 1000);
  EXPECT_EQ(ReadPageSize(7, limits, errors), 7);
  EXPECT_EQ(ReadPageSize(1'000'000, limits, errors), 5000);
  EXPECT_TRUE(errors.empty());
  ReadPageSize(-1, limits, errors);
  EXPECT_FALSE(errors.empty());
}

TEST(CheckBatchSizeTest, OverTheBoundItNamesTheBound) {
  FieldErrors errors;
  EXPECT_OK(CheckBatchSize("names", 10, 10, errors));
  const absl::Status status = CheckBatchSize("names", 11, 10, errors);
  EXPECT_THAT(status, testing::StatusIs(absl::StatusCode::kResourceExhausted,
                                        HasSubstr("at most 10")));
  EXPECT_EQ(GetErrorDetails(status).metadata.at("bound"), "10");
  EXPECT_TRUE(errors.empty());
  EXPECT_OK(CheckBatchSize("names", 0, 10, errors));
  EXPECT_FALSE(errors.empty());
}

}  // namespace
}  // namespace nfmeter::service
