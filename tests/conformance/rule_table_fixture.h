// A kernel with rules and counters, the fake one and the real one, for the
// suites that both must pass.
#ifndef NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_
#define NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "kernel/rule_table.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {

// One kernel with both its halves, and another user of its tables.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual AcctTable& acct() = 0;
  virtual RuleTable& rules() = 0;
  virtual void AddUserChain(Family family, Table table, std::string chain) = 0;
  virtual void AddForeignRule(Family family, Table table, std::string text) = 0;
  virtual void Flush(Family family, Table table, std::string chain) = 0;
  virtual void SetPolicy(Family family, Table table, std::string chain,
                         std::string policy) = 0;
};

class FakeKernel : public Kernel {
 public:
  AcctTable& acct() override { return acct_; }
  RuleTable& rules() override { return rules_; }
  void AddUserChain(Family family, Table table, std::string chain) override {
    rules_.AddUserChain(family, table, chain);
  }
  void AddForeignRule(Family family, Table table, std::string text) override {
    rules_.AddForeignRule(family, table, text);
  }
  void Flush(Family family, Table table, std::string chain) override {
    rules_.Flush(family, table, chain);
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) override {
    rules_.SetPolicy(family, table, chain, policy);
  }

 private:
  FakeAcctTable acct_;
  FakeRuleTable rules_{&acct_};
};

class LinuxKernel : public Kernel {
 public:
  AcctTable& acct() override { return *acct_; }
  RuleTable& rules() override { return rules_; }
  void AddUserChain(Family family, Table table, std::string chain) override {
    Iptables(family, table, {"-N", chain});
  }
  void AddForeignRule(Family family, Table table, std::string text) override {
    std::vector<std::string> words = absl::StrSplit(text, ' ');
    Iptables(family, table, words);
  }
  void Flush(Family family, Table table, std::string chain) override {
    Iptables(family, table, {"-F", chain});
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) override {
    Iptables(family, table, {"-P", chain, policy});
  }

 private:
  static void Iptables(Family family, Table table,
                       const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {
        family == Family::kIpv4 ? "iptables-legacy" : "ip6tables-legacy", "-w",
        "-t", std::string(TableName(table))};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const auto result = testing::Run(command);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  std::unique_ptr<NetlinkAcctTable> acct_ = *NetlinkAcctTable::Open();
  IptcRuleTable rules_;
};

inline absl::Time Soon() { return absl::Now() + absl::Seconds(20); }

inline RuleSpec Spec(std::string id, std::string chain = "INPUT",
                     std::string counter = "web") {
  return {.id = std::move(id),
          .chain = std::move(chain),
          .counter = std::move(counter)};
}

template <typename K>
class RuleTableTest : public ::testing::Test {
 protected:
  RuleTableTest() {
    for (const char* name : {"web", "dns"}) {
      const std::vector<AcctObject> objects = {{.name = name}};
      EXPECT_OK(kernel_.acct().Create(objects)[0]);
    }
  }

  RuleTable& rules() { return kernel_.rules(); }

  absl::StatusOr<EditOutcome> Insert(
      std::vector<RuleSpec> specs,
      RulePlacement placement = RulePlacement::kHead) {
    return rules().Edit(
        {.insertions = std::move(specs), .placement = placement}, Soon());
  }
  absl::StatusOr<EditOutcome> Delete(std::vector<std::string> ids) {
    return rules().Edit({.deletions = std::move(ids)}, Soon());
  }

  TableContents Contents(Family family = Family::kIpv4,
                         Table table = Table::kFilter) {
    auto contents = rules().Read(family, table);
    EXPECT_OK(contents);
    return contents.ok() ? *std::move(contents) : TableContents();
  }
  Chain ChainOf(std::string name, Family family = Family::kIpv4,
                Table table = Table::kFilter) {
    for (Chain& chain : Contents(family, table).chains) {
      if (chain.name == name) return std::move(chain);
    }
    ADD_FAILURE() << "no chain " << name;
    return {};
  }
  std::vector<std::string> Ids(std::string chain, Family family = Family::kIpv4,
                               Table table = Table::kFilter) {
    std::vector<std::string> ids;
    for (const Rule& rule : ChainOf(chain, family, table).rules) {
      ids.push_back(rule.managed ? rule.id : "foreign");
    }
    return ids;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (const Chain& chain : Contents().chains) {
      for (const Rule& rule : chain.rules) texts.push_back(rule.text);
    }
    return texts;
  }
  uint32_t UseCount(const std::string& counter) {
    return kernel_.acct().Get(counter)->use_count;
  }

  K kernel_;
};

using Kernels = ::testing::Types<FakeKernel, LinuxKernel>;

}  // namespace nfmeter::kernel

#endif  // NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_
