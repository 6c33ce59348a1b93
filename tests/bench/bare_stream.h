// SPDX-License-Identifier: GPL-3.0-or-later
// A gRPC server that does nothing but write one prebuilt message to all its
// streams, over and over: the floor for fanning snapshots out.
#ifndef NFMETER_TESTS_BENCH_BARE_STREAM_H_
#define NFMETER_TESTS_BENCH_BARE_STREAM_H_

#include <cstddef>
#include <string>

#include "absl/time/time.h"

namespace nfmeter::bench {

// Serves nfmeter.v1.SnapshotService/WatchSnapshots at `address`: `bytes` bytes
// to every stream each `interval`. Runs until the process is killed; the
// return value is an exit code.
int ServeBareStreams(const std::string& address, size_t bytes,
                     absl::Duration interval);

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_BARE_STREAM_H_
