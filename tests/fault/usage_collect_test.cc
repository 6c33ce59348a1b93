// SPDX-License-Identifier: GPL-3.0-or-later
// Collectors that are killed, doubled and restored: what they have in the end
// is what was sent, each record once.
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/fault/usage_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::kKilled;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::UsageFaultTest;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// `argv`, killed before its n-th call of that kind; n = 0: not.
RunResult RunKilled(std::vector<std::string> argv, const std::string& call,
                    int n) {
  if (n > 0) {
    const std::string fault =
        absl::StrCat("inject=", call, ":signal=KILL:when=", n);
    std::vector<std::string> strace = {"strace",
                                       "-f",
                                       "-qq",
                                       "-o",
                                       "/dev/null",
                                       "-e",
                                       absl::StrCat("trace=", call),
                                       "-e",
                                       fault};
    argv.insert(argv.begin(), strace.begin(), strace.end());
  }
  return testing::Run(argv);
}

class UsageCollectFaultTest : public UsageFaultTest {
 protected:
  // Packets, in the ledger.
  void SendDurably(size_t packets) {
    ASSERT_NO_FATAL_FAILURE(Send(packets));
    ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
  }
  RunResult Collect(const std::string& call = "", int n = 0) {
    return RunKilled({NFMETER, "--server", server_.target(), "usage", "collect",
                      "--consumer", "lines", "--state", dir_ / "state", "--to",
                      file(), "-o", "csv", "--once"},
                     call, n);
  }
  RunResult Invoice(const std::string& database, const std::string& call = "",
                    int n = 0) {
    return RunKilled({INVOICE, database, server_.target()}, call, n);
  }
  std::string file() const { return dir_ / "usage.csv"; }

  // Each line once, in order, and the last total what was sent.
  void ExpectLinesAreExact() {
    std::ifstream in(file());
    std::string line;
    ASSERT_TRUE(std::getline(in, line));
    EXPECT_THAT(line, HasSubstr("id,time,node_id,epoch,sequence"));
    std::set<std::string> ids;
    uint64_t sequence = 0;
    uint64_t total = 0;
    while (std::getline(in, line)) {
      const std::vector<std::string> fields = absl::StrSplit(line, ',');
      ASSERT_EQ(fields.size(), 12u) << line;
      EXPECT_TRUE(ids.insert(fields[0]).second) << "twice: " << line;
      uint64_t of_line = 0;
      ASSERT_TRUE(absl::SimpleAtoi(fields[4], &of_line)) << line;
      EXPECT_GE(of_line, sequence) << line;
      sequence = of_line;
      uint64_t packets = 0;
      ASSERT_TRUE(absl::SimpleAtoi(fields[9], &packets)) << line;
      EXPECT_GE(packets, total) << line;
      total = packets;
    }
    EXPECT_EQ(total, sent_);
  }
};

struct Call {
  const char* name;
  // So that its test has the same name each time.
  friend std::ostream& operator<<(std::ostream& out, const Call& call) {
    return out << call.name;
  }
};

class CollectKillTest : public UsageCollectFaultTest,
                        public ::testing::WithParamInterface<Call> {};

TEST_P(CollectKillTest, EachLineIsThereOnce) {
  int kills = 0;
  for (int n = 1; n < 60; n = n < 8 ? n + 1 : n + n / 3) {
    SCOPED_TRACE(absl::StrCat(GetParam().name, " ", n));
    ASSERT_NO_FATAL_FAILURE(SendDurably(2));
    ASSERT_NO_FATAL_FAILURE(SendDurably(1));
    const RunResult killed = Collect(GetParam().name, n);
    if (killed.exit_code == 0) break;
    ASSERT_EQ(killed.exit_code, kKilled) << killed.err;
    ++kills;
  }
  const RunResult whole = Collect();
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_GT(kills, 0);
  RecordProperty("kills", kills);
  ExpectLinesAreExact();
}

INSTANTIATE_TEST_SUITE_P(SystemCalls, CollectKillTest,
                         ::testing::Values(Call{"fdatasync"}, Call{"fsync"},
                                           Call{"rename"}, Call{"ftruncate"},
                                           Call{"flock"}, Call{"write"},
                                           Call{"sendmsg"}, Call{"recvmsg"}));

class InvoiceKillTest : public UsageCollectFaultTest,
                        public ::testing::WithParamInterface<Call> {};

TEST_P(InvoiceKillTest, TheInvoiceIsExact) {
  const std::string database = dir_ / "invoice.db";
  ASSERT_NO_FATAL_FAILURE(SendDurably(5));  // before it begins
  ASSERT_EQ(Invoice(database).exit_code, 0);
  const uint64_t before = sent_;
  int kills = 0;
  for (int n = 1; n < 60; n = n < 8 ? n + 1 : n + n / 3) {
    ASSERT_NO_FATAL_FAILURE(SendDurably(2));
    ASSERT_NO_FATAL_FAILURE(SendDurably(1));
    const RunResult killed = Invoice(database, GetParam().name, n);
    if (killed.exit_code == 0) break;
    ASSERT_EQ(killed.exit_code, kKilled) << killed.err;
    ++kills;
  }
  EXPECT_GT(kills, 0);
  RecordProperty("kills", kills);
  const RunResult whole = Invoice(database);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const uint64_t packets = sent_ - before;
  EXPECT_EQ(whole.out,
            absl::StrCat("(nobody): ", packets, " packets, ",
                         packets * testing::kPacketBytes, " bytes\n"));
}

INSTANTIATE_TEST_SUITE_P(SystemCalls, InvoiceKillTest,
                         ::testing::Values(Call{"pwrite64"}, Call{"fdatasync"},
                                           Call{"sendmsg"}));

TEST_F(UsageCollectFaultTest, AnInvoiceRestoredFromAnOlderBackupIsExact) {
  const std::string database = dir_ / "invoice.db";
  ASSERT_EQ(Invoice(database).exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(SendDurably(4));
  ASSERT_EQ(Invoice(database).exit_code, 0);
  fs::copy_file(database, dir_ / "backup.db");
  for (int i = 0; i < 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(SendDurably(7));
    ASSERT_EQ(Invoice(database).exit_code, 0);
  }
  fs::copy_file(dir_ / "backup.db", database,
                fs::copy_options::overwrite_existing);
  for (const char* suffix : {"-wal", "-shm"}) fs::remove(database + suffix);
  ASSERT_NO_FATAL_FAILURE(SendDurably(1));
  const RunResult restored = Invoice(database);
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr(absl::StrCat(": ", sent_, " packets")));
}

TEST_F(UsageCollectFaultTest, TwoCollectorsHaveTheSame) {
  ASSERT_EQ(Invoice(dir_ / "first.db").exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(SendDurably(3));
  ASSERT_EQ(Collect().exit_code, 0);
  ASSERT_OK(server_.Start());  // kills the one before
  ASSERT_NO_FATAL_FAILURE(SendDurably(4));
  const RunResult invoice = Invoice(dir_ / "first.db");
  ASSERT_EQ(Collect().exit_code, 0);
  EXPECT_THAT(invoice.out, HasSubstr(absl::StrCat(": ", sent_, " packets")));
  ExpectLinesAreExact();
  // One state is one collector's.
  std::ofstream(dir_ / "hold") << "";
  const RunResult second =
      testing::Run({"flock", dir_ / "state.lock", NFMETER, "--server",
                    server_.target(), "usage", "collect", "--consumer", "lines",
                    "--state", dir_ / "state", "--once"});
  EXPECT_EQ(second.exit_code, 4);
  EXPECT_THAT(second.err, HasSubstr("another process collects with"));
}

}  // namespace
}  // namespace nfmeter
