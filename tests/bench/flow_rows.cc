// SPDX-License-Identifier: GPL-3.0-or-later
// Sums of 100,000 flows, against a bare dump of connection tracking and against
// what people use: conntrack -L, and awk over it; and what readings of many
// flows do to snapshots.
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nfmeter/client.h"
#include "tests/bench/bare_netlink.h"
#include "tests/bench/daemon.h"
#include "tests/bench/many_flows.h"
#include "tests/bench/row.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {
namespace {

constexpr size_t kFlows = 100'000;

// One dump, of which only the ends of messages are looked at. Returns how many
// flows there are.
absl::StatusOr<size_t> BareDump() {
  const auto netlink = BareNetlink::Open();
  if (!netlink.ok()) return netlink.status();
  char request[64];
  return (*netlink)->CountDump(
      PutHeader(request, MessageType(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET),
                NLM_F_DUMP, 1));
}

// Flows, a server that may show them, and a client.
class FlowBench {
 public:
  static absl::StatusOr<FlowBench> Make(const Scale& scale,
                                        size_t flows = kFlows) {
    FlowBench bench;
    bench.flows_ = scale.Of(flows, 500);
    if (auto status = MakeFlows(bench.flows_); !status.ok()) return status;
    auto daemon = Daemon::Start(
        {"--socket-flows", "full", "--min-flow-interval", "10ms"});
    if (!daemon.ok()) return daemon.status();
    bench.daemon_ = *std::move(daemon);
    auto client = Client::Connect({.address = bench.daemon_->address()});
    if (!client.ok()) return client.status();
    bench.client_ = *std::move(client);
    return bench;
  }

  // One SummarizeFlows by the source's /24, and by port.
  absl::Status Summarize(bool by_port) {
    // The pause between two dumps is not what is measured.
    absl::SleepFor(absl::Seconds(1));
    v1::SummarizeFlowsRequest request;
    request.mutable_grouping()->mutable_source()->set_ipv4(24);
    request.mutable_grouping()->set_destination_port(by_port);
    cpu_before_ = CpuTime(daemon_->pid());
    start_ = absl::Now();
    const auto response = client_->SummarizeFlows(request);
    elapsed_ = absl::Now() - start_;
    if (!response.ok()) return response.status();
    cpu_ = CpuTime(daemon_->pid()) - cpu_before_;
    const uint64_t found = response->ranking().total().flows();
    return found >= flows_
               ? absl::OkStatus()
               : absl::InternalError(absl::StrCat(found, " flows of ", flows_));
  }
  Client& client() { return *client_; }
  absl::Duration elapsed() const { return elapsed_; }
  absl::Duration cpu() const { return cpu_; }

 private:
  size_t flows_ = 0;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
  absl::Time start_;
  absl::Duration elapsed_;
  absl::Duration cpu_before_;
  absl::Duration cpu_;
};

absl::StatusOr<Measurement> AgainstBareDump(const Scale& scale) {
  auto bench = FlowBench::Make(scale);
  if (!bench.ok()) return bench.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (auto status = bench->Summarize(false); !status.ok()) return status;
    ours.push_back(absl::ToDoubleMilliseconds(bench->elapsed()));
    const absl::Time start = absl::Now();
    if (const auto flows = BareDump(); !flows.ok()) return flows.status();
    theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  return Paired(ours, theirs, "ms");
}

// CPU of the server against what the kernel's dump takes by itself: no reader
// of connection tracking can do with less.
absl::StatusOr<Measurement> AgainstTheKernel(const Scale& scale) {
  auto bench = FlowBench::Make(scale);
  if (!bench.ok()) return bench.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (auto status = bench->Summarize(true); !status.ok()) return status;
    ours.push_back(absl::ToDoubleMilliseconds(bench->cpu()));
    const absl::Duration before = CpuOf(RUSAGE_THREAD);
    if (const auto flows = BareDump(); !flows.ok()) return flows.status();
    theirs.push_back(absl::ToDoubleMilliseconds(CpuOf(RUSAGE_THREAD) - before));
  }
  return Paired(ours, theirs, "ms CPU");
}

// A reading of a million flows may take longer than calls do.
const CallOptions kSlowCall = {.timeout = absl::Minutes(2)};

// A million flows, or as many as net.netfilter.nf_conntrack_max allows.
absl::StatusOr<size_t> ManyFlows() {
  constexpr char kMax[] = "/proc/sys/net/netfilter/nf_conntrack_max";
  size_t most = 0;
  if (!(std::ifstream(kMax) >> most)) return absl::ErrnoToStatus(errno, kMax);
  return std::min<size_t>(1'000'000, most - most / 20);
}

// The longest of many snapshots, taken one after the other for `time`.
absl::StatusOr<double> LongestSnapshot(Client& client, absl::Duration time) {
  absl::Duration longest;
  const absl::Time end = absl::Now() + time;
  while (absl::Now() < end) {
    const absl::Time start = absl::Now();
    if (auto snapshot = client.GetSnapshot({}, kSlowCall); !snapshot.ok()) {
      return snapshot.status();
    }
    longest = std::max(longest, absl::Now() - start);
  }
  return absl::ToDoubleMilliseconds(longest);
}

// Reads all flows again and again, as fast as the server lets it.
class FlowReader {
 public:
  explicit FlowReader(Client& client)
      : thread_([this, &client] {
          while (!done_) {
            if (const auto sums = client.SummarizeFlows({}, kSlowCall);
                !sums.ok()) {
              status_ = sums.status();
              return;
            }
            ++readings_;
          }
        }) {}
  // Number of readings.
  absl::StatusOr<int> Stop() {
    done_ = true;
    thread_.join();
    if (!status_.ok()) return status_;
    return readings_;
  }

 private:
  std::atomic<bool> done_ = false;
  int readings_ = 0;
  absl::Status status_;
  std::thread thread_;  // last: uses all of the above
};

// The longest snapshot of 1,000 counters while flows are read, against the
// longest while they are not.
absl::StatusOr<Measurement> BesideReadings(const Scale& scale) {
  const auto most = ManyFlows();
  if (!most.ok()) return most.status();
  auto bench = FlowBench::Make(scale, *most);
  if (!bench.ok()) return bench.status();
  Client& client = bench->client();
  v1::BatchCreateCountersRequest counters;
  for (int i = 0; i < 1'000; ++i) {
    counters.add_counters()->set_name(absl::StrCat("c", i));
  }
  if (auto made = client.BatchCreateCounters(counters); !made.ok()) {
    return made.status();
  }
  const absl::Duration time =
      scale.small ? absl::Milliseconds(200) : absl::Seconds(10);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    FlowReader reader(client);
    const auto beside = LongestSnapshot(client, time);
    const auto readings = reader.Stop();
    if (!readings.ok()) return readings.status();
    const auto alone = LongestSnapshot(client, time);
    if (!beside.ok() || !alone.ok()) {
      return beside.ok() ? alone.status() : beside.status();
    }
    ours.push_back(*beside);
    theirs.push_back(*alone);
  }
  return Paired(ours, theirs, absl::StrCat("ms, ", *most, " flows"));
}

// CPU of the server against that of a line of shell.
absl::StatusOr<Measurement> AgainstCommand(const Scale& scale,
                                           const std::string& line,
                                           bool by_port) {
  auto bench = FlowBench::Make(scale);
  if (!bench.ok()) return bench.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (auto status = bench->Summarize(by_port); !status.ok()) return status;
    ours.push_back(absl::ToDoubleMilliseconds(bench->cpu()));
    const absl::Duration before = CpuOf(RUSAGE_CHILDREN);
    const auto result = testing::Run({"sh", "-c", line});
    if (result.exit_code != 0) return absl::InternalError(result.err);
    theirs.push_back(
        absl::ToDoubleMilliseconds(CpuOf(RUSAGE_CHILDREN) - before));
  }
  // How many times less.
  Measurement measured = Paired(theirs, ours, "ms CPU");
  std::swap(measured.ours, measured.theirs);
  return measured;
}

constexpr char kList[] = "conntrack -L 2>&1 >/dev/null";
// Sums both directions by /24 of the source and by port.
constexpr char kAwk[] =
    "conntrack -L 2>/dev/null | awk '{ s=\"\"; d=\"\"; b=0; "
    "for (i=1;i<=NF;i++) { if (s==\"\" && $i ~ /^src=/) { split(substr($i,5),a,"
    "\".\"); s=a[1] \".\" a[2] \".\" a[3] } if (d==\"\" && $i ~ /^dport=/) "
    "d=substr($i,7); if ($i ~ /^bytes=/) b+=substr($i,7) } sum[s \" \" d]+=b } "
    "END { for (k in sum) print k, sum[k] }' >/dev/null";

}  // namespace

std::vector<Row> FlowRows() {
  return {
      {.name = "flows-100k",
       .measured = "SummarizeFlows of 100,000 flows by /24, at the client",
       .against = "bare ctnetlink dump loop",
       .target = 1.3,
       .run = AgainstBareDump},
      {.name = "flows-100k-kernel",
       .measured = "CPU of the server for the same, by /24 and port",
       .against = "CPU of a bare ctnetlink dump loop",
       .target = 1.3,
       .run = AgainstTheKernel},
      {.name = "flows-snapshot-delay",
       .measured = "the longest GetSnapshot of 1,000 counters while flows are "
                   "read all the time",
       .against = "the longest while they are not",
       .target = 5,
       .run = BesideReadings},
      {.name = "flows-100k-conntrack",
       .measured = "CPU of the server for the same",
       .against = "CPU of conntrack -L",
       .target = 4,
       .at_least = true,
       .run =
           [](const Scale& scale) {
             return AgainstCommand(scale, kList, false);
           }},
      {.name = "flows-groups",
       .measured = "CPU of SummarizeFlows of 100,000 flows by /24 and port",
       .against = "CPU of conntrack -L through awk",
       .target = 8,
       .at_least = true,
       .run =
           [](const Scale& scale) {
             return AgainstCommand(scale, kAwk, true);
           }},
  };
}

}  // namespace nfmeter::bench
