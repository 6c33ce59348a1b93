// SPDX-License-Identifier: GPL-3.0-or-later
// Labels that would take more memory than the server may have.
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/counters/label_store.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr size_t kBound = 8 << 20;
constexpr size_t kLabelledCounters = 12'000;  // ten times the bound

// As many and as long as a counter may have.
accounting::Labels FullLabels() {
  accounting::Labels labels;
  for (int i = 0; i < 16; ++i) {
    labels[absl::StrCat(std::string(60, 'k'), i)] = std::string(255, 'v');
  }
  return labels;
}

void FillStore(const std::string& path) {
  const auto store =
      *accounting::LabelStore::Open(path, {.max_bytes = 1 << 30});
  std::vector<std::pair<std::string, accounting::Labels>> all;
  for (size_t i = 0; i < kLabelledCounters; ++i) {
    accounting::Labels labels = FullLabels();
    labels[accounting::kManagedLabel] = "";  // as those made through nfmeter
    all.emplace_back(absl::StrCat("c", 100'000 + i), std::move(labels));
  }
  ASSERT_OK(store->Set(all));
  ASSERT_GT(store->use().memory_bytes, 9 * kBound);
}

v1::BatchCreateCountersRequest Request(const std::string& name,
                                       const accounting::Labels& labels) {
  v1::BatchCreateCountersRequest request;
  v1::Counter* const counter = request.add_counters();
  counter->set_name(name);
  counter->mutable_labels()->insert(labels.begin(), labels.end());
  return request;
}

TEST(LabelMemoryTest, AStoreLargerThanTheBoundDoesNotEndTheServer) {
  const TemporaryDirectory dir;
  const std::string state = dir / "state";
  std::ofstream(dir / "nfmeter.yaml")
      << "limits: {max_label_bytes: " << kBound << "}\n";
  FaultServer server(
      {.arguments = {"--config", dir / "nfmeter.yaml"}, .state_dir = state});
  ASSERT_OK(server.Start());
  const size_t without_labels = PeakResidentKiB(server.pid());
  ASSERT_EQ(server.process().Stop(), 0);

  FillStore(state + "/ledger.db");
  ASSERT_OK(server.Start());
  EXPECT_LT(PeakResidentKiB(server.pid()), without_labels + 3 * kBound / 1024);
  EXPECT_THAT(server.process().Log(), HasSubstr("too many labels"));
  const auto client = server.Connect();
  const auto node = client->GetNode();
  ASSERT_OK(node);
  EXPECT_THAT(node->notices(), Contains(HasSubstr("limits.max_label_bytes")));

  const absl::Status refused =
      client->BatchCreateCounters(Request("new", {{"k", "v"}})).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(ErrorReason(refused), "TOO_MANY_LABELS");

  // The last one's labels are only on the disk.
  const std::string last = absl::StrCat("c", 100'000 + kLabelledCounters - 1);
  ASSERT_OK(client->BatchCreateCounters(Request(last, FullLabels())).status());
  const auto found = client->GetCounter(last);
  ASSERT_OK(found);
  EXPECT_EQ(found->labels().size(), 16);
}

}  // namespace
}  // namespace nfmeter::testing
