// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/process_metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace nfmeter::telemetry {
namespace {


// Fields of /proc/PID/stat after the command's name, proc(5); the first is the
// state, number 3 there.
constexpr size_t kUserTicks = 14 - 3;
constexpr size_t kSystemTicks = 15 - 3;
constexpr size_t kThreads = 20 - 3;
constexpr size_t kStartTicks = 22 - 3;
constexpr size_t kVirtualBytes = 23 - 3;
constexpr size_t kResidentPages = 24 - 3;

// Seconds since the epoch at which the host booted.
double ReadBootTime() {
  std::ifstream in("/proc/stat");
  std::string word;
  double boot_time = 0;
  while (in >> word) {
    if (word == "btime" && in >> boot_time) break;
  }
  return boot_time;
}

std::vector<double> ReadStat(const UniqueFd& file) {
  char buffer[1024];
  const ssize_t size = pread(file.get(), buffer, sizeof(buffer), 0);
  if (size <= 0) return {};
  const absl::string_view text(buffer, size);
  const size_t name_end = text.rfind(')');
  if (name_end == absl::string_view::npos) return {};
  std::vector<double> fields;
  for (const absl::string_view word :
       absl::StrSplit(text.substr(name_end + 1), ' ', absl::SkipEmpty())) {
    double number = 0;
    (void)absl::SimpleAtod(word, &number);
    fields.push_back(number);
  }
  return fields;
}

}  // namespace

ProcessMetrics::ProcessMetrics()
    : stat_(open("/proc/self/stat", O_RDONLY | O_CLOEXEC)),
      descriptors_(opendir("/proc/self/fd")),
      boot_time_(ReadBootTime()) {}

ProcessMetrics::~ProcessMetrics() {
  absl::MutexLock lock(&mutex_);
  if (descriptors_ != nullptr) closedir(descriptors_);
}

int ProcessMetrics::CountDescriptors() const {
  absl::MutexLock lock(&mutex_);
  if (descriptors_ == nullptr) return -1;
  rewinddir(descriptors_);
  int count = 0;
  while (const dirent* entry = readdir(descriptors_)) {
    count += entry->d_name[0] != '.';
  }
  return count;
}

void ProcessMetrics::WriteMetrics(MetricsText& text) const {
  const std::vector<double> stat = ReadStat(stat_);
  if (stat.size() > kResidentPages) {
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    text.Counter("process_cpu_seconds_total", "User and system CPU time.",
                 (stat[kUserTicks] + stat[kSystemTicks]) / ticks);
    text.Gauge("process_start_time_seconds",
               "Start of the process since the Unix epoch.",
               boot_time_ + stat[kStartTicks] / ticks);
    text.Gauge(
        "process_resident_memory_bytes", "Resident memory.",
        stat[kResidentPages] * static_cast<double>(sysconf(_SC_PAGESIZE)));
    text.Gauge("process_virtual_memory_bytes", "Virtual memory.",
               stat[kVirtualBytes]);
    text.Gauge("process_threads", "Threads.", stat[kThreads]);
  }
  if (const int open_fds = CountDescriptors(); open_fds >= 0) {
    text.Gauge("process_open_fds", "Open file descriptors.", open_fds);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    text.Gauge("process_max_fds", "The most file descriptors that may be open.",
               static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace nfmeter::telemetry
