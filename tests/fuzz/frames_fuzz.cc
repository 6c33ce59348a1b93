// SPDX-License-Identifier: GPL-3.0-or-later
// Frames of HTTP/2, in both directions.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>

#include "interpose/frame_guard.h"
#include "tests/support/fake_clock.h"

namespace {

using nfmeter::interpose::FrameGuard;

constexpr uint8_t kPreface[] = {'P',  'R',  'I', ' ', '*',  ' ',  'H',  'T',
                                'T',  'P',  '/', '2', '.',  '0',  '\r', '\n',
                                '\r', '\n', 'S', 'M', '\r', '\n', '\r', '\n'};

// What a guard makes of `bytes`, both directions in turn, in pieces of at most
// `piece`. Frames are the same wherever they are cut.
size_t OpenStreams(absl::Span<const uint8_t> client,
                   absl::Span<const uint8_t> server, size_t piece) {
  nfmeter::testing::FakeClock clock;
  nfmeter::interpose::ClientLoads loads({.max_calls = 32});
  FrameGuard guard({.max_open_streams = 64, .max_resets_per_second = 16},
                   loads.Of("fuzz"), clock);
  guard.FromClient(kPreface);
  const auto feed = [&](absl::Span<const uint8_t> bytes, auto take) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      (guard.*take)(bytes.subspan(at, piece));
    }
  };
  feed(client, &FrameGuard::FromClient);
  feed(server, &FrameGuard::FromServer);
  if (guard.open_streams() != loads.calls()) abort();
  return guard.open_streams();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::Span<const uint8_t> bytes(data + 1, size - 1);
  const size_t half = bytes.size() * data[0] / 256;
  const auto client = bytes.first(half);
  const auto server = bytes.subspan(half);
  const size_t whole = OpenStreams(client, server, std::max<size_t>(size, 1));
  for (const size_t piece : {1, 3, 9, 10}) {
    if (OpenStreams(client, server, piece) != whole) abort();
  }
  return 0;
}
