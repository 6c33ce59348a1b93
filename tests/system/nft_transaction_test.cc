// SPDX-License-Identifier: GPL-3.0-or-later
// Changes that are larger than one transaction may be, as where an unprivileged
// user namespace bounds the send buffer: what may come in several does, and
// what must come at once is refused with the bound, and nothing is half-done.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_kernel.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kTooLarge[] = "NFT_TRANSACTION_TOO_LARGE";

class NftTransactionTest : public ::testing::Test {
 protected:
  explicit NftTransactionTest(bool own = true) : own_(own) {}

  // As another process that comes after the one before.
  void Reopen() {
    kernel_.reset();
    NftTable::Options small;
    small.send_buffer_bytes = 32 << 10;
    small.own = own_;
    auto opened = NftKernel::Open(small);
    ASSERT_OK(opened.status());
    kernel_ = *std::move(opened);
    ASSERT_OK(kernel_->Probe()->acct);
    ASSERT_OK(kernel_->table().Claim());
  }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_THAT(kernel_->acct().Create({AcctObject{.name = "web"}}),
                Each(absl::OkStatus()));
  }

  static Patience Soon() {
    return Patience(SystemClock().BootTime() + absl::Seconds(20));
  }
  static std::vector<RuleSpec> Rules(int first, int count) {
    std::vector<RuleSpec> rules;
    for (int i = first; i < first + count; ++i) {
      rules.push_back(
          {.id = absl::StrCat("rule-", i), .chain = "INPUT", .counter = "web"});
    }
    return rules;
  }
  static std::vector<AcctObject> Counters(int count) {
    std::vector<AcctObject> counters;
    for (int i = 0; i < count; ++i) {
      counters.push_back(
          {.name = absl::StrCat("c", i),
           .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 1'000'000}});
    }
    return counters;
  }
  // What a plan is: all of these addresses into "web".
  absl::StatusOr<OwnedOutcome> Apply(std::vector<OwnedMap> maps,
                                     size_t rules = 0) {
    OwnedTable table;
    table.hooks = {{"INPUT", "NFM-1a2b3c4d-in"}};
    table.chains = {{"NFM-1a2b3c4d-in", {}}};
    table.chains[0].rules.resize(rules, {.counter = "web"});
    for (const OwnedMap& map : maps) {
      table.chains[0].rules.push_back({.map = map.name});
    }
    table.maps = std::move(maps);
    return kernel_->rules().ApplyOwned(
        {.owner = "1a2b3c4d-", .wanted = {std::move(table)}}, Soon());
  }
  static OwnedMap Map(const std::string& name, uint32_t elements) {
    OwnedMap map = {.name = "NFM-1a2b3c4d-" + name, .bits = 32};
    for (uint32_t i = 0; i < elements; ++i) {
      std::string key;
      for (int shift = 24; shift >= 0; shift -= 8) {
        key.push_back(static_cast<char>(i >> shift));
      }
      map.elements.push_back({std::move(key), "web"});
    }
    return map;
  }

  uint32_t UseCount() { return kernel_->acct().Get("web")->use_count; }
  std::string Bound() const {
    return absl::StrCat(kernel_->table().batch_bytes_max());
  }
  static std::string Listed() {
    return testing::Run({"nft", "list", "ruleset"}).out;
  }

  const bool own_;
  std::unique_ptr<NftKernel> kernel_;
};

// In a table that everybody can change.
class NftPlainTransactionTest : public NftTransactionTest {
 protected:
  NftPlainTransactionTest() : NftTransactionTest(/*own=*/false) {}
};

TEST_F(NftTransactionTest, RulesComeAllOrNone) {
  for (const bool dry_run : {true, false}) {
    const absl::Status refused =
        testing::Edit(kernel_->rules(), {.insertions = Rules(0, 1000)}, Soon(),
                      dry_run)
            .status();
    EXPECT_THAT(refused, HasReason(kTooLarge));
    EXPECT_THAT(std::string(refused.message()),
                AllOf(HasSubstr(Bound()), HasSubstr("nothing was changed")));
  }
  EXPECT_EQ(UseCount(), 0u);
  for (int i = 0; i < 500; i += 50) {
    ASSERT_OK(
        testing::Edit(kernel_->rules(), {.insertions = Rules(i, 50)}, Soon()));
  }
  EXPECT_EQ(UseCount(), 500u);
}

TEST_F(NftTransactionTest, CountersThatAreMadeWithRulesComeWithThemOrNot) {
  EXPECT_THAT(kernel_->rules().Apply({.new_counters = Counters(500),
                                      .tables = {{.insertions = Rules(0, 1)}}},
                                     Soon()),
              HasReason(kTooLarge));
  EXPECT_EQ(UseCount(), 0u);
  EXPECT_THAT(Listed(), Not(HasSubstr("c.c0")));
}

TEST_F(NftTransactionTest, CountersAloneComeAndGoInSeveral) {
  const std::vector<AcctObject> counters = Counters(2000);
  EXPECT_THAT(kernel_->acct().Create(counters), Each(absl::OkStatus()));
  std::vector<std::string> names;
  for (const AcctObject& counter : counters) names.push_back(counter.name);
  EXPECT_THAT(Listed(), AllOf(HasSubstr("c.c0 "), HasSubstr("c.c1999 ")));
  EXPECT_THAT(kernel_->acct().Delete(names), Each(absl::OkStatus()));
  EXPECT_THAT(Listed(), Not(HasSubstr("c.c")));
}

TEST_F(NftTransactionTest, NewMapsOfAPlanAreFilledBefore) {
  ASSERT_OK(Apply({Map("a", 50'000)}).status());
  EXPECT_EQ(UseCount(), 50'000u);
  const auto one_more = Apply({Map("a", 50'001)});
  ASSERT_OK(one_more.status());
  EXPECT_EQ(one_more->commits, 1u);
  EXPECT_EQ(UseCount(), 50'001u);
  EXPECT_THAT(Apply({Map("a", 50'001)})->differences, SizeIs(0));
}

// A map that counts already is replaced: packets count by all of the old maps
// or by all of the new ones.
TEST_F(NftTransactionTest, MuchMoreOfAMapThatCountsComesAtOnce) {
  ASSERT_OK(Apply({Map("a", 100), Map("b", 10)}).status());
  for (const uint32_t elements : {20'000, 30'000, 100}) {
    const std::vector<OwnedMap> wanted = {Map("a", elements), Map("b", 10)};
    const auto changed = Apply(wanted);
    ASSERT_OK(changed.status());
    EXPECT_EQ(changed->commits, 2u);  // the change, and the old map goes
    ASSERT_THAT(changed->differences, SizeIs(1));
    EXPECT_EQ(changed->differences[0].chain, "NFM-1a2b3c4d-a");
    EXPECT_EQ(UseCount(), elements + 10);
    EXPECT_THAT(Apply(wanted)->differences, SizeIs(0));
    // Also for who has not made them.
    Reopen();
    EXPECT_THAT(Apply(wanted)->differences, SizeIs(0));
  }
}

TEST_F(NftTransactionTest, AMapIsReplacedOnlyWhereAllOfTheRestFits) {
  ASSERT_OK(Apply({Map("a", 100)}).status());
  const absl::Status refused =
      Apply({Map("a", 20'000), Map("b", 20'000)}, /*rules=*/1000).status();
  EXPECT_THAT(refused, HasReason(kTooLarge));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(Bound()));
  EXPECT_EQ(UseCount(), 100u);
  EXPECT_THAT(Listed(), Not(HasSubstr("1a2b3c4d-b")));
  EXPECT_THAT(Apply({Map("a", 100)})->differences, SizeIs(0));
}

// A counter that goes while maps are filled ends it, and nothing is left.
TEST_F(NftTransactionTest, AMapThatCannotBeFilledLeavesNothing) {
  ASSERT_OK(Apply({Map("a", 100)}).status());
  OwnedMap more = Map("a", 20'000);
  more.elements.back().counter = "nobody";
  EXPECT_THAT(Apply({more, Map("b", 20'000)}), HasReason("PLAN_REFUSED"));
  EXPECT_EQ(UseCount(), 100u);
  EXPECT_THAT(Listed(), Not(AnyOf(HasSubstr("1a2b3c4d-a-b"),
                                  HasSubstr("1a2b3c4d-b"))));
  EXPECT_THAT(Apply({Map("a", 100)})->differences, SizeIs(0));
}

// What a server that was killed while it filled maps has left.
TEST_F(NftPlainTransactionTest, AMapThatNothingLooksIntoGoes) {
  ASSERT_OK(Apply({Map("a", 100)}).status());
  ASSERT_EQ(testing::Run({"nft", "-f", "-"},
                         "add map inet nfmeter ip-filter-NFM-1a2b3c4d-a-b "
                         "{ type ipv4_addr : counter; elements = "
                         "{ 10.0.0.1 : \"c.web\" } }")
                .exit_code,
            0);
  const auto healed = Apply({Map("a", 100)});
  ASSERT_OK(healed.status());
  EXPECT_THAT(healed->differences, SizeIs(1));
  EXPECT_EQ(UseCount(), 100u);
  ASSERT_OK(Apply({Map("a", 20'000)}).status());
  EXPECT_EQ(UseCount(), 20'000u);
}

}  // namespace
}  // namespace nfmeter::kernel
