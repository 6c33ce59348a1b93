// SPDX-License-Identifier: GPL-3.0-or-later
// A kernel with rules and counters, the fake one and the real one, for the
// suites that both must pass.
#ifndef NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_
#define NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_kernel.h"
#include "kernel/kernel.h"
#include "kernel/linux/linux_kernel.h"
#include "kernel/linux/nftables/nft_kernel.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {

// A host: one kernel, and another user of its tables.
class FakeHost {
 public:
  static constexpr char kName[] = "Fake";
  // Chains of the user's own, and jumps to them.
  static constexpr bool kUserChains = true;
  // What rules read like.
  static constexpr bool kIptablesText = true;

  Kernel& kernel() { return kernel_; }
  void AddUserChain(Family family, Table table, std::string chain) {
    kernel_.rules().AddUserChain(family, table, chain);
  }
  void AddForeignRule(Family family, Table table, std::string text) {
    kernel_.rules().AddForeignRule(family, table, text);
  }
  void Flush(Family family, Table table, std::string chain) {
    kernel_.rules().Flush(family, table, chain);
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) {
    kernel_.rules().SetPolicy(family, table, chain, policy);
  }

 private:
  FakeKernel kernel_;
};

class LinuxHost {
 public:
  static constexpr char kName[] = "Iptables";
  static constexpr bool kUserChains = true;
  static constexpr bool kIptablesText = true;

  Kernel& kernel() { return *kernel_; }
  void AddUserChain(Family family, Table table, std::string chain) {
    Iptables(family, table, {"-N", chain});
  }
  void AddForeignRule(Family family, Table table, std::string text) {
    std::vector<std::string> words = absl::StrSplit(text, ' ');
    Iptables(family, table, words);
  }
  void Flush(Family family, Table table, std::string chain) {
    Iptables(family, table, {"-F", chain});
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) {
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

  std::unique_ptr<LinuxKernel> kernel_ = *LinuxKernel::Open();
};

// nf_tables, with a plain table: in one that is owned, nobody else has rules.
class NftHost {
 public:
  static constexpr char kName[] = "Nftables";
  static constexpr bool kUserChains = false;
  static constexpr bool kIptablesText = false;

  ~NftHost() { testing::Run({"nft", "flush", "ruleset"}); }

  Kernel& kernel() { return *kernel_; }
  // The rules of others that the suite makes.
  void AddForeignRule(Family family, Table table, std::string text) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    const std::string chain = NftChainName(family, table, words[1]);
    const NftHook hook = NftHookOf(table, words[1]);
    ASSERT_EQ(words[0], "-A");
    // By its own means, as nft makes no chain that is not there.
    NftBatch batch = kernel_->table().NewBatch();
    batch.AddChain(chain, hook);
    ASSERT_OK(kernel_->table().Commit(batch));
    std::string rule;
    for (size_t i = 2; i + 1 < words.size(); i += 2) {
      if (words[i] == "-s") absl::StrAppend(&rule, "ip saddr ", words[i + 1]);
      if (words[i] == "-j") {
        absl::StrAppend(&rule, " ", absl::AsciiStrToLower(words[i + 1]));
      }
      if (words[i] == "--nfacct-name") {
        absl::StrAppend(&rule, "counter name ", NftObjectName(words[i + 1]));
      }
    }
    Nft(absl::StrCat("add rule inet nfmeter ", chain, " ", rule));
  }
  void Flush(Family family, Table table, std::string chain) {
    Nft(absl::StrCat("flush chain inet nfmeter ",
                     NftChainName(family, table, chain)));
  }
  void AddUserChain(Family, Table, std::string) {}
  void SetPolicy(Family, Table, std::string, std::string) {}

 private:
  static void Nft(const std::string& command) {
    const auto result = testing::Run({"nft", command});
    ASSERT_EQ(result.exit_code, 0) << command << ": " << result.err;
  }
  static NftTable::Options Plain() {
    NftTable::Options options;
    options.own = false;
    return options;
  }

  std::unique_ptr<NftKernel> kernel_ = *NftKernel::Open(Plain());
};

inline absl::Duration Soon() {
  return SystemClock().BootTime() + absl::Seconds(20);
}

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
      EXPECT_OK(acct().Create(objects)[0]);
    }
  }

  Kernel& kernel() { return host_.kernel(); }
  AcctTable& acct() { return kernel().acct(); }
  RuleTable& rules() { return kernel().rules(); }

  absl::StatusOr<TableOutcome> Edit(const TableEdit& edit,
                                    bool dry_run = false) {
    return testing::Edit(rules(), edit, Patience(Soon()), dry_run);
  }
  absl::StatusOr<TableOutcome> Insert(
      std::vector<RuleSpec> specs,
      RulePlacement placement = RulePlacement::kHead) {
    return Edit({.insertions = std::move(specs), .placement = placement});
  }
  absl::StatusOr<TableOutcome> Delete(std::vector<std::string> ids) {
    return Edit({.deletions = std::move(ids)});
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
    return acct().Get(counter)->use_count;
  }

  K host_;
};

using Kernels = ::testing::Types<FakeHost, LinuxHost, NftHost>;

// What their tests are called: "RuleTableTest/Nftables.FamiliesAreApart".
struct KernelNames {
  template <typename Host>
  static std::string GetName(int) {
    return Host::kName;
  }
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_TESTS_CONFORMANCE_RULE_TABLE_FIXTURE_H_
