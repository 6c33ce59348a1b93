// SPDX-License-Identifier: GPL-3.0-or-later
// A server with many counters: how soon it serves, how much memory it takes.
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "nfmeter/client.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

// A counter for each of many addresses.
v1::ApplyPlanRequest ManyAddresses(size_t count) {
  v1::ApplyPlanRequest request;
  v1::Plan& plan = *request.mutable_plan();
  plan.set_name("many");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  const std::vector<std::string> names = Names(count);
  for (size_t i = 0; i < count; ++i) {
    (*group
          .mutable_members())[absl::StrFormat("10.1.%d.%d", i / 256, i % 256)] =
        names[i];
  }
  return request;
}

// Each try has a client of its own: one that has been refused waits before it
// connects again.
absl::Status WaitUntilServing(const std::string& address) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (true) {
    NFM_ASSIGN_OR_RETURN(
        const auto client,
        Client::Connect({.address = address, .retry = {.max_attempts = 1}}));
    const absl::StatusOr<Health> health = client->CheckHealth();
    if (health.ok() && *health == Health::kServing) return absl::OkStatus();
    if (absl::Now() > deadline) {
      return health.ok() ? absl::UnavailableError("it does not serve")
                         : health.status();
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
}

// From the start of the process until it is SERVING.
absl::StatusOr<Measurement> StartToServing(const Scale& scale) {
  NFM_ASSIGN_OR_RETURN(auto daemon, Daemon::Start());
  {
    NFM_ASSIGN_OR_RETURN(const auto client,
                         Client::Connect({.address = daemon->address()}));
    CallOptions patient;
    patient.timeout = absl::Minutes(2);
    NFM_RETURN_IF_ERROR(
        client->ApplyPlan(ManyAddresses(scale.Of(10'000, 100)), patient)
            .status());
  }
  std::vector<double> times;
  for (int i = 0; i < scale.repetitions(); ++i) {
    const absl::Time start = absl::Now();
    NFM_RETURN_IF_ERROR(daemon->Restart());
    NFM_RETURN_IF_ERROR(WaitUntilServing(daemon->address()));
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start) -
                    absl::ToDoubleMilliseconds(daemon->stop_time()));
  }
  const double median = Median(times);
  return Measurement{median, 0, median, "ms"};
}

absl::StatusOr<Measurement> MemoryOfMany(const Scale& scale) {
  NFM_ASSIGN_OR_RETURN(const auto acct, BareAcct::Open());
  NFM_RETURN_IF_ERROR(acct->Create(Names(scale.Of(10'000, 100))));
  NFM_ASSIGN_OR_RETURN(auto daemon, Daemon::Start());
  NFM_ASSIGN_OR_RETURN(const auto client,
                       Client::Connect({.address = daemon->address()}));
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_nanos(200'000'000);
  const auto watch = client->WatchSnapshots(request);
  for (int i = 0; i < 10; ++i) {
    NFM_RETURN_IF_ERROR(watch->Next().status());
  }
  const double mib =
      static_cast<double>(ResidentBytes(daemon->pid())) / (1 << 20);
  return Measurement{mib, 0, mib, "MiB"};
}

}  // namespace

std::vector<Row> StartRows() {
  return {
      {"start-10k",
       "start to SERVING with 10,000 counters and their plan in the kernel", "",
       300, false, StartToServing},
      {"rss-10k", "server RSS with 10,000 counters, one subscriber", "", 48,
       false, MemoryOfMany},
  };
}

}  // namespace nfmeter::bench
