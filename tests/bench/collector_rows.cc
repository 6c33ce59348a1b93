// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector: how fast it stores, what a node costs, how long a dead
// one's nodes wait.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/daemon.h"
#include "tests/bench/row.h"
#include "tests/collector/collector_process.h"
#include "tests/collector/fake_fleet.h"
#include "tests/collector/postgres_process.h"
#include "tests/support/subprocess.h"
#include "tests/system/certificates.h"

namespace nfmeter::bench {
namespace {

using testing::CollectorProcess;
using testing::FakeFleet;
using testing::PostgresProcess;

constexpr absl::Duration kPatience = absl::Minutes(3);

// Every counter of every node moves, `ticks` times.
void Tick(FakeFleet& fleet, size_t ticks) {
  for (size_t tick = 0; tick < ticks; ++tick) {
    for (size_t i = 0; i < fleet.size(); ++i) {
      testing::FakeNode& node = fleet.node(static_cast<int>(i));
      for (int c = 1; c <= node.counters(); ++c) node.Count(c, 1);
      node.Tick();
    }
  }
}

void SetSilent(FakeFleet& fleet, bool silent) {
  for (size_t i = 0; i < fleet.size(); ++i) {
    fleet.node(static_cast<int>(i)).SetSilent(silent);
  }
}

// Until the nodes have heard that all of it is durable.
absl::Status AwaitAcknowledged(FakeFleet& fleet) {
  const absl::Time deadline = absl::Now() + kPatience;
  for (size_t i = 0; i < fleet.size(); ++i) {
    testing::FakeNode& node = fleet.node(static_cast<int>(i));
    while (node.acknowledged() < node.sequence()) {
      if (absl::Now() > deadline) {
        return absl::DeadlineExceededError("records were not stored");
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Measurement> CollectRows(const Scale& scale) {
  constexpr int kNodes = 4;
  constexpr int kCounters = 1'000;
  const size_t ticks = scale.Of(100, 3);
  PostgresProcess postgres(/*syncs=*/true);
  if (absl::Status status = postgres.Start(); !status.ok()) return status;
  FakeFleet fleet(kNodes, kCounters);
  const testing::TemporaryDirectory dir;
  std::ofstream(dir / "nodes.yaml") << fleet.Targets();
  const CollectorProcess collector(
      {"--targets", dir / "nodes.yaml", "--sink", postgres.url()});
  if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
    return absl::InternalError(collector.Log());
  }
  const double rows = static_cast<double>(kNodes * kCounters * ticks);
  const std::string file = absl::StrCat("'", dir / "rows", "'");
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    postgres.Query("TRUNCATE nfmeter.records");
    SetSilent(fleet, true);
    Tick(fleet, ticks);
    const absl::Time begun = absl::Now();
    SetSilent(fleet, false);
    if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
      return status;
    }
    ours.push_back(rows / absl::ToDoubleSeconds(absl::Now() - begun));
    const std::string counted =
        postgres.Query("SELECT count(*) FROM nfmeter.records");
    if (counted != absl::StrCat(kNodes * kCounters * ticks)) {
      return absl::InternalError(absl::StrCat("rows stored: ", counted));
    }
    postgres.Query(absl::StrCat("\\copy (SELECT * FROM nfmeter.records) TO ",
                                file, " (FORMAT binary)"));
    postgres.Query("TRUNCATE nfmeter.records");
    const absl::Time copy_begun = absl::Now();
    const std::string copied = postgres.Query(
        absl::StrCat("\\copy nfmeter.records FROM ", file, " (FORMAT binary)"));
    theirs.push_back(rows / absl::ToDoubleSeconds(absl::Now() - copy_begun));
    if (absl::StrContains(copied, "ERROR")) return absl::InternalError(copied);
  }
  return Paired(ours, theirs, "rows/s");
}

// As many nodes as a row of memory has, and 20 counters of each.
int NodesOf(const Scale& scale) {
  return static_cast<int>(scale.Of(1'000, 20));
}
constexpr int kCountersOfANode = 20;

// What a collector of the fleet has in memory, divided by its nodes.
absl::StatusOr<Measurement> MeasureMemory(FakeFleet& fleet) {
  const testing::TemporaryDirectory dir;
  std::ofstream(dir / "nodes.yaml") << fleet.Targets();
  const CollectorProcess collector({"--targets", dir / "nodes.yaml", "--sink",
                                    absl::StrCat("sqlite:", dir / "usage.db")});
  if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
    return absl::InternalError(collector.Log().substr(0, 2'000));
  }
  Tick(fleet, 3);
  if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
    return status;
  }
  const double each = static_cast<double>(ResidentBytes(collector.pid())) /
                      1024 / static_cast<double>(fleet.size());
  return Measurement{.ours = each, .ratio = each, .unit = "KiB/node"};
}

absl::StatusOr<Measurement> CollectNodes(const Scale& scale) {
  FakeFleet fleet(NodesOf(scale), kCountersOfANode);
  return MeasureMemory(fleet);
}

absl::StatusOr<Measurement> CollectNodesOverTls(const Scale& scale) {
  testing::Certificates certificates;
  FakeFleet fleet(NodesOf(scale), kCountersOfANode, &certificates);
  return MeasureMemory(fleet);
}

absl::StatusOr<Measurement> CollectFailover(const Scale& scale) {
  const absl::Duration lease =
      scale.small ? absl::Seconds(2) : absl::Seconds(15);
  PostgresProcess postgres;
  if (absl::Status status = postgres.Start(); !status.ok()) return status;
  FakeFleet fleet(/*nodes=*/16, /*counters=*/10);
  const testing::TemporaryDirectory dir;
  std::ofstream(dir / "nodes.yaml") << fleet.Targets();
  const auto start = [&](int number) {
    return std::make_unique<CollectorProcess>(std::vector<std::string>{
        "--targets", dir / "nodes.yaml", "--sink", postgres.url(), "--name",
        absl::StrCat("collector-", number), "--lease",
        absl::FormatDuration(lease)});
  };
  std::vector<double> beyond;
  auto dying = start(0);
  for (int i = 0; i < (scale.small ? 1 : 3); ++i) {
    Tick(fleet, 1);
    if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
      return status;
    }
    auto next = start(i + 1);
    dying->Kill();
    Tick(fleet, 1);
    const absl::Time killed = absl::Now();
    if (absl::Status status = AwaitAcknowledged(fleet); !status.ok()) {
      return status;
    }
    beyond.push_back(absl::ToDoubleSeconds(absl::Now() - killed - lease));
    const std::string total =
        postgres.Query("SELECT sum(packets) FROM nfmeter.usage_total");
    if (total != absl::StrCat(fleet.Total())) {
      return absl::InternalError(absl::StrCat(
          "lost or doubled: ", total, " stored, ", fleet.Total(), " counted"));
    }
    dying = std::move(next);
  }
  const double median = Median(beyond);
  return Measurement{.ours = median, .ratio = median, .unit = "s beyond lease"};
}

}  // namespace

std::vector<Row> CollectorRows() {
  return {
      {.name = "collect-rows",
       .measured = "nfmeter-collector into PostgreSQL, rows committed",
       .against = "COPY of the same rows by psql",
       .target = 0.5,
       .at_least = true,
       .run = CollectRows},
      {.name = "collect-nodes",
       .measured = "memory of a collector for each of 1,000 nodes",
       .target = 200,
       .run = CollectNodes},
      {.name = "collect-nodes-tls",
       .measured = "the same over mutual TLS",
       .target = 200,
       .run = CollectNodesOverTls},
      {.name = "collect-failover",
       .measured = "a collector killed: until all its nodes are stored again",
       .target = 5,
       .run = CollectFailover},
  };
}

}  // namespace nfmeter::bench
