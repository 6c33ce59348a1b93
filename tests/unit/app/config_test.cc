#include "app/config.h"

#include <string>
#include <vector>

#include "app/config_file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> OdditiesOf(const std::string& text) {
  Config config;
  EXPECT_OK(ReadConfigText(text, "f", config));
  const auto oddities = CheckConfig(config);
  EXPECT_OK(oddities);
  return oddities.value_or(std::vector<std::string>());
}

TEST(CheckConfigTest, AuditLinesThatNobodySeesAreToldOf) {
  EXPECT_THAT(OdditiesOf("log: {level: info}"), IsEmpty());
  EXPECT_THAT(OdditiesOf("log: {level: warning}"),
              ElementsAre(HasSubstr("changes and denials are recorded "
                                    "nowhere")));
  EXPECT_THAT(OdditiesOf("log: {level: 'off'}\naudit: {file: /a}"), IsEmpty());
}

TEST(DescribeConfigTest, SaysWhoGetsInAndWhatIsKept) {
  Config config;
  ASSERT_OK(ReadConfigText(R"(
listen:
  - {address: 'unix:/s', mode: 0600, group: g, role: viewer}
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
            R"(listen unix:/s (mode 0600, group g, role viewer)
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
