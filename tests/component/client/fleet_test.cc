// SPDX-License-Identifier: GPL-3.0-or-later
// The SDK on many servers: what is wrong with one of them is its own alone.
#include "nfmeter/fleet.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using testing::Fail;
using testing::FakeServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::StatusIs;

// Servers "well", "down", "slow" and "refusing", and two more that are well.
class FleetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    servers_[kDown].Stop();
    fleet_ = Connect({"well", "down", "slow", "refusing", "five", "six"});
    ASSERT_NE(fleet_, nullptr);
    // Long enough for those that answer; the slow one answers after that.
    options_.timeout = absl::Seconds(3);
  }
  void TearDown() override { over_.Notify(); }

  std::unique_ptr<Fleet> Connect(const std::vector<std::string>& names,
                                 const FleetOptions& options = {}) {
    std::vector<FleetMember> members;
    for (size_t i = 0; i < names.size(); ++i) {
      FleetMember& member = members.emplace_back();
      member.name = names[i];
      member.options.address = servers_[i].address();
      member.options.retry.max_attempts = 1;
    }
    auto fleet = Fleet::Connect(members, options);
    EXPECT_OK(fleet.status());
    return fleet.ok() ? *std::move(fleet) : nullptr;
  }
  // Every server answers as `answer` says, but for those that are slow or
  // refuse.
  template <typename Handler, typename Answer>
  void OnAll(Handler handler, const Answer& answer) {
    for (int i = 0; i < kServers; ++i) {
      handler(servers_[i]) = [this, i, answer](const auto& request,
                                               auto* response) {
        if (i == kSlow) over_.WaitForNotification();
        if (i == kRefusing) {
          return Fail(grpc::StatusCode::PERMISSION_DENIED, "NOT_PERMITTED",
                      "viewers change no rules");
        }
        answer(i, request, response);
        return grpc::Status::OK;
      };
    }
  }
  // The results of those that are not well, at their places.
  template <typename Answer>
  void ExpectEachHasItsOwn(const std::vector<NodeResult<Answer>>& results) {
    ASSERT_EQ(results.size(), size_t{kServers});
    EXPECT_EQ(results[0].node, "well");
    for (const int i : {0, 4, 5}) {
      EXPECT_OK(results[i].result.status()) << results[i].node;
    }
    EXPECT_EQ(results[kDown].node, "down");
    EXPECT_THAT(results[kDown].result,
                StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(results[kSlow].result,
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(results[kRefusing].result,
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("viewers change no rules")));
  }

  static constexpr int kServers = 6;
  static constexpr int kDown = 1;
  static constexpr int kSlow = 2;
  static constexpr int kRefusing = 3;
  absl::Notification over_;
  FakeServer servers_[kServers];
  std::unique_ptr<Fleet> fleet_;
  CallOptions options_;
};

TEST_F(FleetTest, ABatchOfRulesHasAResultForEachNode) {
  OnAll(
      [](FakeServer & server) -> auto& {
        return server.rules.on_BatchCreateRules;
      },
      [](int i, const auto& request, auto* response) {
        EXPECT_EQ(request.request_id(), "once");
        for (const v1::Rule& rule : request.rules()) {
          *response->add_rules() = rule;
          response->mutable_rules(0)->set_id("r" + std::to_string(i));
        }
      });
  v1::BatchCreateRulesRequest request;
  request.set_request_id("once");
  request.add_rules()->set_chain("OUTPUT");
  const auto results = fleet_->BatchCreateRules(request, options_);
  ExpectEachHasItsOwn(results);
  EXPECT_EQ(results[0].result->rules(0).id(), "r0");
  EXPECT_EQ(results[5].result->rules(0).id(), "r5");
}

TEST_F(FleetTest, UsageHasAResultForEachNode) {
  OnAll(
      [](FakeServer & server) -> auto& { return server.usage.on_ListUsage; },
      [](int i, const auto&, auto* response) {
        response->add_rows()->set_packets(100 + i);
      });
  const auto results = fleet_->ListUsage({}, options_);
  ExpectEachHasItsOwn(results);
  EXPECT_EQ(results[4].result->rows(0).packets(), 104u);
}

TEST_F(FleetTest, SnapshotsHaveAResultForEachNode) {
  for (int i = 0; i < kServers; ++i) {
    servers_[i].snapshots.on_GetSnapshot =
        [this, i](grpc::ServerContext&, const auto&, auto& writer) {
          if (i == kSlow) over_.WaitForNotification();
          if (i == kRefusing) {
            return Fail(grpc::StatusCode::PERMISSION_DENIED, "NOT_PERMITTED",
                        "viewers change no rules");
          }
          v1::GetSnapshotResponse response;
          response.mutable_frame()->set_last_chunk(true);
          response.mutable_frame()->set_complete(true);
          writer.Write(response);
          return grpc::Status::OK;
        };
  }
  ExpectEachHasItsOwn(fleet_->GetSnapshots({}, options_));
}

TEST_F(FleetTest, NoMoreAreCalledAtOnceThanWasSaid) {
  const auto fleet =
      Connect({"a", "b", "c", "d", "e", "f"}, {.max_parallel = 2});
  ASSERT_NE(fleet, nullptr);
  absl::Mutex mutex;
  int now = 0;
  int most = 0;
  bool met = false;
  const auto results = fleet->Call<int>([&](Client&) -> absl::StatusOr<int> {
    absl::MutexLock lock(&mutex);
    most = std::max(most, ++now);
    met = met || now == 2;
    mutex.Await(absl::Condition(&met));  // the first waits for the second
    return --now;
  });
  EXPECT_EQ(results.size(), size_t{kServers});
  EXPECT_EQ(most, 2);
}

TEST_F(FleetTest, TwoOfOneNameAndAWrongAddressAreRefused) {
  std::vector<FleetMember> members(2);
  members[0].name = members[1].name = "gw1";
  EXPECT_THAT(Fleet::Connect(members),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("two servers of the fleet are called 'gw1'")));
  members[1].name = "gw2";
  members[1].options.address = "ftp://gw2";
  EXPECT_THAT(
      Fleet::Connect(members),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("'gw2': ")));
}

}  // namespace
}  // namespace nfmeter
