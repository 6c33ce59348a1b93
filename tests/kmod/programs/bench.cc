// SPDX-License-Identifier: GPL-3.0-or-later
// What the benchmark suite measures; each prints its numbers. Nanoseconds are
// instructions in a machine whose clock counts those.
//   kmod_bench create N      nanoseconds to create N objects
//   kmod_bench receive ROUNDS  nanoseconds of a dump that nobody reads, median
//   kmod_bench dump ROUNDS   nanoseconds of a dump that is parsed, median
//   kmod_bench run ROUNDS COMMAND...   nanoseconds of a command, median, and
//                            how much of that was spent in the kernel
//   kmod_bench send CPUS BURSTS        what a packet to a closed door costs,
//                            median of bursts, sent on so many CPUs at once: in
//                            ticks of the time stamp counter, which are
//                            instructions in a machine that counts those
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/bench/bare_acct.h"

namespace nfmeter::bench {
namespace {

constexpr int kBurst = 50;  // packets

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

template <typename Work>
double MedianTime(int rounds, Work work) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const double start = Nanoseconds();
    work();
    times.push_back(Nanoseconds() - start);
  }
  return Median(times);
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "kmod_bench: %s\n", status.ToString().c_str());
  exit(1);
}

double Create(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back(absl::StrFormat("customer-%05d/web", i));
  }
  auto acct = BareAcct::Open();
  Check(acct.status());
  const double start = Nanoseconds();
  Check((*acct)->Create(names));
  return Nanoseconds() - start;
}

double Receive(int rounds) {
  auto acct = BareAcct::Open();
  Check(acct.status());
  return MedianTime(rounds, [&] { Check((*acct)->Receive().status()); });
}

double Dump(int rounds) {
  auto acct = BareAcct::Open();
  Check(acct.status());
  return MedianTime(rounds, [&] { Check((*acct)->Dump().status()); });
}

double Seconds(const timeval& time) {
  return time.tv_sec + time.tv_usec * 1e-6;
}

// What of its time a process has spent in the kernel: the share is sampled.
double KernelShare() {
  rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  const double kernel = Seconds(usage.ru_stime);
  return kernel / (kernel + Seconds(usage.ru_utime));
}

double Command(int rounds, char** argv) {
  return MedianTime(rounds, [&] {
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
      execvp(argv[0], argv);
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) {
      fprintf(stderr, "kmod_bench: %s ended with %d\n", argv[0], status);
      exit(1);
    }
  });
}

// Sends to loopback; the rules drop each packet at the end, so that nothing
// but the way through them is long.
std::vector<double> SendBursts(int cpu, int bursts, std::barrier<>& start) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  sched_setaffinity(0, sizeof(only), &only);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) exit(1);
  const std::string payload(36, 'x');
  std::vector<double> ticks;
  start.arrive_and_wait();
  for (int i = 0; i < bursts; ++i) {
    const uint64_t before = __rdtsc();
    for (int j = 0; j < kBurst; ++j) {
      [[maybe_unused]] const ssize_t refused =
          send(fd, payload.data(), payload.size(), 0);
    }
    ticks.push_back(static_cast<double>(__rdtsc() - before) / kBurst);
  }
  close(fd);
  return ticks;
}

double Send(int cpus, int bursts) {
  std::barrier<> start(cpus);
  std::vector<double> medians(cpus);
  std::vector<std::thread> threads;
  for (int cpu = 0; cpu < cpus; ++cpu) {
    threads.emplace_back(
        [&, cpu] { medians[cpu] = Median(SendBursts(cpu, bursts, start)); });
  }
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double median : medians) sum += median;
  return sum / cpus;
}

int Main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  double result = 0;
  if (command == "create") {
    result = Create(atoi(argv[2]));
  } else if (command == "receive") {
    result = Receive(atoi(argv[2]));
  } else if (command == "dump") {
    result = Dump(atoi(argv[2]));
  } else if (command == "run" && argc > 3) {
    result = Command(atoi(argv[2]), argv + 3);
    printf("%.1f %.1f\n", result, result * KernelShare());
    return 0;
  } else if (command == "send" && argc > 3) {
    result = Send(atoi(argv[2]), atoi(argv[3]));
  } else {
    fprintf(stderr,
            "usage: kmod_bench create N | receive ROUNDS | dump ROUNDS "
            "| run ROUNDS COMMAND... | send CPUS BURSTS\n");
    return 2;
  }
  printf("%.1f\n", result);
  return 0;
}

}  // namespace
}  // namespace nfmeter::bench

int main(int argc, char** argv) { return nfmeter::bench::Main(argc, argv); }
