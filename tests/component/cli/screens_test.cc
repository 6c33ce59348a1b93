// SPDX-License-Identifier: GPL-3.0-or-later
// Lists as terminals of 40, 80 and 200 columns show them; tests/unit/cli has
// those of top. NFMETER_UPDATE_SCREENS=1 writes the files.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

class ScreensTest : public CliTest {
 protected:
  ScreensTest() {
    server_.counters.on_ListCounters = [](const auto&, auto* response) {
      *response = Json<v1::ListCountersResponse>(R"({"counters": [
          {"name": "http-traffic", "packets": 1200, "bytes": 3460000,
           "useCount": 2, "labels": {"tenant": "acme"}},
          {"name": "a-name-of-thirty-one-characters", "packets": 98765432,
           "bytes": 123456789012, "useCount": 1,
           "quota": {"bytes": 107374182400, "exceeded": true}}]})");
      return grpc::Status::OK;
    };
    server_.rules.on_ListRules = [](const auto&, auto* response) {
      *response = Json<v1::ListRulesResponse>(R"({"rules": [
          {"id": "http-in", "family": "FAMILY_IPV4", "table": "filter",
           "chain": "INPUT", "counter": "http-traffic", "managed": true,
           "match": {"protocol": "tcp", "sourcePorts": [{"first": 80}],
                     "source": "192.0.2.0/24"},
           "verdict": "VERDICT_CONTINUE", "packets": 7, "bytes": 420,
           "spec": "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --sport 80"}]})");
      return grpc::Status::OK;
    };
  }

  // The screen is the one in screens/NAME-COLUMNS.txt.
  void ExpectScreens(const std::string& name, const std::string& command) {
    for (const int columns : {40, 80, 200}) {
      const std::string shown = absl::StrReplaceAll(
          Shell(absl::StrCat("script -qec 'stty cols ", columns,
                             "; $NFMETER --color never ", command,
                             "' /dev/null"))
              .out,
          {{"\r", ""}});
      const std::string path = absl::StrCat(
          NFMETER_SCREENS, "/", name, "-", columns, ".txt");
      if (std::getenv("NFMETER_UPDATE_SCREENS") != nullptr) {
        std::ofstream(path) << shown;
      }
      std::stringstream kept;
      kept << std::ifstream(path).rdbuf();
      EXPECT_EQ(shown, kept.str())
          << "NFMETER_UPDATE_SCREENS=1 writes " << path;
    }
  }
};

TEST_F(ScreensTest, Counters) { ExpectScreens("counters", "counter list"); }

TEST_F(ScreensTest, Rules) { ExpectScreens("rules", "rule list"); }

}  // namespace
}  // namespace nfmeter::testing
