// What the nfmeterd program says about its configuration.
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdPath;
using ::nfmeter::testing::Run;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::HasSubstr;

constexpr int kExitConfig = 2;

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
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--check-config"}}) {
    std::vector<std::string> argv = {NfmeterdPath(), "--config", file};
    argv.insert(argv.end(), more.begin(), more.end());
    const RunResult run = Run(argv);
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
  const RunResult run =
      Run({NfmeterdPath(), "--config", file, "--check-config"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "ok: " + file +
                         "\n"
                         "listen unix:/run/n.sock (mode 0600, group root)\n"
                         "listen 127.0.0.1:7443 (insecure)\n"
                         "state in memory only\n");
}

TEST(ConfigTest, CheckConfigLooksAtFilesAndGroups) {
  const RunResult group = Run(
      {NfmeterdPath(), "--check-config", "--socket-group", "no-such-group"});
  EXPECT_EQ(group.exit_code, kExitConfig);
  EXPECT_EQ(group.err,
            "nfmeterd: there is no group 'no-such-group'; make it with: "
            "groupadd --system no-such-group\n");
  const RunResult tls =
      Run({NfmeterdPath(), "--check-config", "--listen", "tcp:0.0.0.0:1",
           "--tls-certificate", "/no/c", "--tls-key", "/no/k",
           "--tls-client-ca", "/no/ca"});
  EXPECT_EQ(tls.exit_code, kExitConfig);
  EXPECT_EQ(tls.err,
            "nfmeterd: tls.certificate /no/c: No such file or "
            "directory\n");
}

TEST(ConfigTest, TheExampleIsValid) {
  const RunResult run =
      Run({NfmeterdPath(), "--check-config", "--config",
           std::string(NFMETER_SOURCE_ROOT) + "/packaging/nfmeter.yaml"});
  // It has no certificates, so tls is an empty group.
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out,
              HasSubstr("listen unix:/run/nfmeter/nfmeter.sock (mode 0660)\n"
                        "state /var/lib/nfmeter\n"));
}

TEST(ConfigTest, AFlagThatIsNearlyOneIsExplained) {
  const RunResult run = Run({NfmeterdPath(), "--chek-config"});
  EXPECT_EQ(run.exit_code, kExitConfig);
  EXPECT_EQ(run.err,
            "nfmeterd: unknown flag '--chek-config'; did you mean "
            "'--check-config'?\n");
}

TEST(ConfigTest, HelpAndVersionGoToStandardOutput) {
  const RunResult version = Run({NfmeterdPath(), "--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, "nfmeterd 0.1.0\n");
  const RunResult help = Run({NfmeterdPath(), "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--state-dir"));
  EXPECT_THAT(help.out, HasSubstr("Exit status: 0"));
}

}  // namespace
}  // namespace nfmeter
