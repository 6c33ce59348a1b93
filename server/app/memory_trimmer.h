// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps the server as small as what it holds.
#ifndef NFMETER_APP_MEMORY_TRIMMER_H_
#define NFMETER_APP_MEMORY_TRIMMER_H_

#include <cstddef>

namespace nfmeter::app {

// Gives freed memory back to the kernel. glibc keeps what a large batch used
// (40 MiB for 10,000 rules) in the arenas of the threads that worked on it; its
// own trimming looks only at their ends, and capping the arenas gave half of it
// back. Asking each second costs a server at rest one read of /proc/self/statm,
// and each tenth time a look at the arenas, which takes a millisecond. Not
// thread-safe.
class MemoryTrimmer {
 public:
  // Trims if the process has grown noticeably since the last time; each tenth
  // time also if it has freed as much.
  void TrimAfterGrowth();

 private:
  bool HasFreedMuch();

  int asked_ = 0;
  // After the last time.
  size_t resident_bytes_ = 0;
  size_t free_bytes_ = 0;  // of those that malloc has
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_MEMORY_TRIMMER_H_
