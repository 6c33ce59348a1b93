// SPDX-License-Identifier: GPL-3.0-or-later
// Many subscribers of the same counters.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"
#include "tests/bench/stream_load.h"

namespace nfmeter::bench {
namespace {

constexpr char kMethod[] = "/nfmeter.v1.SnapshotService/WatchSnapshots";
constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kFrameDeadline = absl::Seconds(60);

v1::WatchSnapshotsRequest ColumnsEachSecond() {
  v1::WatchSnapshotsRequest request;
  request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  *request.mutable_interval() =
      google::protobuf::util::TimeUtil::SecondsToDuration(1);
  return request;
}

// CPU seconds that `pid` spends a frame on serving `load`, over `frames`
// frames to each of its `streams` streams.
absl::StatusOr<double> CpuPerFrame(pid_t pid, StreamLoad& load, size_t streams,
                                   size_t frames) {
  const absl::Duration before = CpuTime(pid);
  if (!load.AwaitMessages(streams * frames, kFrameDeadline)) {
    return absl::DeadlineExceededError(
        absl::StrCat("frames did not come; ", load.ended(), " of ", streams,
                     " streams have ended"));
  }
  return absl::ToDoubleMilliseconds(CpuTime(pid) - before) /
         static_cast<double>(frames);
}

// The bytes of a later frame of one stream: names were sent in the first one.
absl::StatusOr<size_t> FrameBytes(const Daemon& daemon) {
  StreamLoad one(daemon.address(), kMethod, ColumnsEachSecond(), {});
  if (!one.AwaitMessages(1, kFrameDeadline)) {
    return absl::DeadlineExceededError("no first frame");
  }
  const size_t first = one.bytes();
  if (!one.AwaitMessages(1, kFrameDeadline)) {
    return absl::DeadlineExceededError("no second frame");
  }
  return one.bytes() - first;
}

absl::StatusOr<Measurement> Fanout(const Scale& scale) {
  const size_t counters = scale.Of(10'000, 100);
  const size_t streams = scale.Of(1'000, 20);
  const size_t frames = scale.Of(4, 2);

  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  if (auto status = (*acct)->Create(Names(counters)); !status.ok()) {
    return status;
  }
  auto daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  auto bytes = FrameBytes(**daemon);
  if (!bytes.ok()) return bytes.status();

  testing::TemporaryDirectory directory;
  const std::string bare_address = "unix:" + directory / "bare.sock";
  testing::Background bare({"/proc/self/exe", "--bare-stream-server",
                            bare_address, absl::StrCat(*bytes),
                            absl::StrCat(absl::ToInt64Milliseconds(kInterval))},
                           "");

  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    for (const bool is_ours : {true, false}) {
      StreamLoad load(is_ours ? (*daemon)->address() : bare_address, kMethod,
                      ColumnsEachSecond(), {.streams = streams});
      // The first frames have names, and the streams are still being opened.
      if (!load.AwaitMessages(2 * streams, kFrameDeadline)) {
        return absl::DeadlineExceededError("the streams did not start");
      }
      auto cpu = CpuPerFrame(is_ours ? (*daemon)->pid() : bare.pid(), load,
                             streams, frames);
      if (!cpu.ok()) return cpu.status();
      (is_ours ? ours : theirs).push_back(*cpu);
    }
  }
  return Paired(ours, theirs, "ms CPU a frame");
}

absl::StatusOr<Measurement> FanoutMemory(const Scale& scale) {
  const size_t counters = scale.Of(10'000, 100);
  const size_t streams = scale.Of(1'000, 20);

  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  if (auto status = (*acct)->Create(Names(counters)); !status.ok()) {
    return status;
  }
  auto daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  // What one subscriber needs is no matter of how many there are.
  StreamLoad first((*daemon)->address(), kMethod, ColumnsEachSecond(), {});
  if (!first.AwaitMessages(2, kFrameDeadline)) {
    return absl::DeadlineExceededError("no frames");
  }
  const size_t before = ResidentBytes((*daemon)->pid());
  StreamLoad load((*daemon)->address(), kMethod, ColumnsEachSecond(),
                  {.streams = streams, .stalled = streams / 2});
  std::vector<double> each;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (!load.AwaitMessages(streams, kFrameDeadline)) {
      return absl::DeadlineExceededError("no frames beside stalled streams");
    }
    each.push_back((static_cast<double>(ResidentBytes((*daemon)->pid())) -
                    static_cast<double>(before)) /
                   1024 / static_cast<double>(streams));
  }
  // The last one: it has to be flat over time.
  return Measurement{each.back(), 0, each.back(), "KiB a subscriber"};
}

}  // namespace

std::vector<Row> FanoutRows() {
  return {
      {"fanout-1000",
       "server CPU a frame, 1,000 COLUMNS subscribers of 10,000 counters",
       "bare gRPC raw-stream server, one prebuilt message of as many bytes",
       1.2, false, Fanout},
      {"fanout-memory",
       "server RSS added by a subscriber, 1,000 of them, half stalled", "", 128,
       false, FanoutMemory},
  };
}

}  // namespace nfmeter::bench
