// SPDX-License-Identifier: GPL-3.0-or-later
// What the nfmeterd program says about its configuration.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::kExitConfig;
using ::nfmeter::testing::NfmeterdPath;

using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::HasSubstr;

// Runs it with the words of `line` as arguments.
RunResult Nfmeterd(const std::string& line) {
  std::vector<std::string> argv = absl::StrSplit(line, ' ');
  argv.insert(argv.begin(), NfmeterdPath());
  return testing::Run(argv);
}

TEST(ConfigTest, WrongLinesAreAllNamedAndNothingIsStarted) {
  TemporaryDirectory dir;
  const std::string file = dir / "nfmeter.yaml";
  std::ofstream(file) << "listen:\n"
                         "  - unix:nfmeter.sock\n"
                         "reflexion: true\n"
                         "limits:\n"
                         "  max_streams: lots\n";
  const std::string expected =
      "nfmeterd: " + file +
      ":2:5: 'unix:nfmeter.sock' must have an absolute path: unix:/PATH\n"
      "nfmeterd: " +
      file +
      ":3:1: unknown key 'reflexion'; did you mean 'reflection'?\n"
      "nfmeterd: " +
      file +
      ":5:16: 'limits.max_streams' must be a number from 1 to 1000000, not "
      "'lots'\n";
  for (const char* more : {"", " --check-config"}) {
    const RunResult run = Nfmeterd("--config " + file + more);
    EXPECT_EQ(run.exit_code, kExitConfig);
    EXPECT_EQ(run.err, expected);
    EXPECT_EQ(run.out, "");
  }
}

TEST(ConfigTest, CheckConfigSummarisesWhatIsRight) {
  TemporaryDirectory dir;
  const std::string file = dir / "nfmeter.yaml";
  std::ofstream(file) << "listen:\n"
                         "  - {address: unix:/run/n.sock, mode: 0600, "
                         "group: root}\n"
                         "  - tcp:127.0.0.1:7443\n"
                         "insecure_loopback: true\n"
                         "state_dir: ''\n";
  const RunResult run = Nfmeterd("--check-config --config " + file);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "ok: " + file +
                         "\n"
                         "listen unix:/run/n.sock (mode 0600, group root)\n"
                         "listen 127.0.0.1:7443 (insecure)\n"
                         "state in memory only\n");
}

TEST(ConfigTest, CheckConfigLooksAtFilesAndGroups) {
  const RunResult group =
      Nfmeterd("--check-config --socket-group no-such-group");
  EXPECT_EQ(group.exit_code, kExitConfig);
  EXPECT_EQ(group.err,
            "nfmeterd: there is no group 'no-such-group'; make it with: "
            "groupadd --system no-such-group\n");
  const RunResult tls =
      testing::Run({NfmeterdPath(), "--check-config", "--listen",
                    "tcp:0.0.0.0:1", "--tls-certificate", "/no/c", "--tls-key",
                    "/no/k", "--tls-client-ca", "/no/ca"});
  EXPECT_EQ(tls.exit_code, kExitConfig);
  EXPECT_EQ(tls.err,
            "nfmeterd: tls.certificate /no/c: cannot be read: No such file or "
            "directory\n");
}

TEST(ConfigTest, TheExampleIsValid) {
  const RunResult run = Nfmeterd("--check-config --config " NFMETER_SOURCE_ROOT
                                 "/packaging/nfmeter.yaml");
  // It has no certificates, so tls is an empty group.
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out,
              HasSubstr("listen unix:/run/nfmeter/nfmeter.sock (mode 0660)\n"
                        "state /var/lib/nfmeter\n"));
}

TEST(ConfigTest, AFlagThatIsNearlyOneIsExplained) {
  const RunResult run = Nfmeterd("--chek-config");
  EXPECT_EQ(run.exit_code, kExitConfig);
  EXPECT_EQ(run.err,
            "nfmeterd: unknown flag '--chek-config'; did you mean "
            "'--check-config'?\n");
}

TEST(ConfigTest, HelpAndVersionGoToStandardOutput) {
  const RunResult version = Nfmeterd("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, "nfmeterd 0.1.0\n");
  const RunResult help = Nfmeterd("--help");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--state-dir"));
  EXPECT_THAT(help.out, HasSubstr("Exit status: 0"));
}

}  // namespace
}  // namespace nfmeter
