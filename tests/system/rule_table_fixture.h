// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of ours in the tables of a host, beside the nfacct object "web".
#ifndef NFMETER_TESTS_SYSTEM_RULE_TABLE_FIXTURE_H_
#define NFMETER_TESTS_SYSTEM_RULE_TABLE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {

inline RuleSpec Spec(std::string id, std::string chain = "INPUT") {
  return {.id = std::move(id), .chain = std::move(chain), .counter = "web"};
}

inline absl::Duration Soon() {
  return SystemClock().BootTime() + absl::Seconds(60);
}

// What the command prints; it must succeed.
inline std::string Checked(const std::vector<std::string>& command,
                           absl::string_view input = "") {
  const auto result = testing::Run(command, input);
  EXPECT_EQ(result.exit_code, 0)
      << absl::StrJoin(command, " ") << ": " << result.err;
  return result.out;
}

class RuleTableFixture : public ::testing::Test {
 protected:
  RuleTableFixture() {
    const std::vector<AcctObject> objects = {{.name = "web"}};
    EXPECT_OK(acct_->Create(objects)[0]);
  }

  absl::StatusOr<TableOutcome> Insert(std::vector<RuleSpec> specs) {
    return rules_.Edit({.insertions = std::move(specs)}, Soon());
  }
  TableContents Contents(Family family = Family::kIpv4,
                         Table table = Table::kFilter) {
    auto contents = rules_.Read(family, table);
    EXPECT_OK(contents);
    return contents.ok() ? *std::move(contents) : TableContents();
  }
  std::vector<Rule> Rules(Family family = Family::kIpv4,
                          Table table = Table::kFilter) {
    std::vector<Rule> rules;
    for (Chain& chain : Contents(family, table).chains) {
      for (Rule& rule : chain.rules) rules.push_back(std::move(rule));
    }
    return rules;
  }
  std::vector<std::string> ManagedIds() {
    std::vector<std::string> ids;
    for (const Rule& rule : Rules()) {
      if (rule.managed) ids.push_back(rule.id);
    }
    return ids;
  }

  std::unique_ptr<NetlinkAcctTable> acct_ = *NetlinkAcctTable::Open();
  IptcRuleTable rules_{*acct_};
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_TESTS_SYSTEM_RULE_TABLE_FIXTURE_H_
