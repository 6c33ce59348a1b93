// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/config.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "app/config_file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::app {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> WarningsOf(const std::string& text) {
  Config config;
  EXPECT_OK(ReadConfigText(text, "f", config));
  const auto warnings = CheckConfig(config);
  EXPECT_OK(warnings);
  return warnings.value_or(std::vector<std::string>());
}

TEST(CheckConfigTest, AuditLinesThatNobodySeesAreToldOf) {
  EXPECT_THAT(WarningsOf("log: {level: info}"), IsEmpty());
  EXPECT_THAT(WarningsOf("log: {level: warning}"),
              ElementsAre(HasSubstr("changes and denials are recorded "
                                    "nowhere")));
  EXPECT_THAT(WarningsOf("log: {level: 'off'}\naudit: {file: /a}"), IsEmpty());
}

// A policy is for unix sockets, too.
TEST(CheckConfigTest, HowOftenFilesAreReadIsNoMatterOfTls) {
  Config config;
  ASSERT_OK(ReadConfigText("tls: {reload_interval: 2s}", "f", config));
  EXPECT_FALSE(config.listen.tls.has_value());
  EXPECT_EQ(config.reload_interval, absl::Seconds(2));
  EXPECT_OK(CheckConfig(config));
}

TEST(CheckConfigTest, RecordBytesThatAreNotKeptAreToldOf) {
  EXPECT_THAT(WarningsOf("retention: {record_bytes: 4294967296}"), IsEmpty());
  EXPECT_THAT(WarningsOf("retention: {record_bytes: 4294967297}"),
              ElementsAre(HasSubstr("more than retention.max_record_bytes")));
}

TEST(CheckConfigTest, ASocketThroughWhichAnybodyRulesIsToldOf) {
  const auto with = [](absl::string_view more) {
    return WarningsOf(absl::StrCat("listen: [{address: 'unix:/s'", more, "}]"));
  };
  EXPECT_THAT(with(""), IsEmpty());
  EXPECT_THAT(with(", mode: 0666, role: viewer"), IsEmpty());
  EXPECT_THAT(with(", mode: 0664"), IsEmpty());  // reading is not connecting
  EXPECT_THAT(with(", mode: 0666"),
              ElementsAre(AllOf(HasSubstr("unix:/s: by its mode every user"),
                                HasSubstr("role admin"))));
  EXPECT_THAT(with(", mode: 0606, role: operator"),
              ElementsAre(HasSubstr("role operator")));
}

TEST(DescribeConfigTest, SaysWhoGetsInAndWhatIsKept) {
  Config config;
  ASSERT_OK(ReadConfigText(R"(
listen:
  - {address: 'unix:/s', mode: 0600, group: g, role: viewer, flows: summary}
  - {address: '127.0.0.1:1', role: operator}
insecure_loopback: true
read_only: true
policy: /p
audit: {file: /a}
metrics: {listen: '[::1]:2'}
state_dir: ''
)",
                           "f", config));
  EXPECT_EQ(DescribeConfig(config),
            R"(listen unix:/s (mode 0600, group g, role viewer, flows summary)
listen 127.0.0.1:1 (insecure, role operator)
changes refused
policy /p
audit /a
metrics http://[::1]:2/metrics
state in memory only
)");
}

}  // namespace
}  // namespace nfmeter::app
