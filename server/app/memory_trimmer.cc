// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/memory_trimmer.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace nfmeter::app {
namespace {

constexpr size_t kNoticeableBytes = 4 << 20;
constexpr int kAskedPerLook = 10;

// 0 when it can't be read: then nothing ever grows.
size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");  // see proc(5), in pages
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

bool MemoryTrimmer::HasFreedMuch() {
  const size_t free_bytes = mallinfo2().fordblks;
  free_bytes_ = std::min(free_bytes_, free_bytes);
  return free_bytes >= free_bytes_ + kNoticeableBytes;
}

void MemoryTrimmer::TrimAfterGrowth() {
  const bool has_grown = ResidentBytes() >= resident_bytes_ + kNoticeableBytes;
  const bool looks = asked_++ % kAskedPerLook == 0;
  if (!has_grown && !(looks && HasFreedMuch())) return;
  malloc_trim(0);
  resident_bytes_ = ResidentBytes();
  free_bytes_ = mallinfo2().fordblks;
}

}  // namespace nfmeter::app
