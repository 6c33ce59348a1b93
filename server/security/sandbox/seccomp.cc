// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/sandbox/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::security {
namespace {

// By what they are for. Names that this architecture lacks are passed over.
constexpr const char* kAllowed[] = {
    // Open descriptors.
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev",
    "pwrite64", "pwritev", "pwritev2", "lseek", "close", "close_range", "dup",
    "dup2", "dup3", "fcntl", "pipe", "pipe2", "eventfd2", "fsync", "fdatasync",
    "ftruncate", "fallocate", "flock", "fadvise64", "sync_file_range",
    // Files, as far as Landlock and the user let them.
    "open", "openat", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs",
    "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents64", "getcwd", "unlink", "unlinkat", "rename", "renameat",
    "renameat2", "mkdir", "mkdirat", "fchmod", "fchown", "utimensat", "umask",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // Sockets; which families, see AddSocketRules().
    "bind", "listen", "accept", "accept4", "connect", "getsockname",
    "getpeername", "getsockopt", "setsockopt", "shutdown", "sendto", "sendmsg",
    "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
    // Waiting.
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "futex",
    "futex_waitv", "nanosleep", "clock_nanosleep", "restart_syscall",
    "rt_sigtimedwait", "sched_yield",
    // Time.
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
    "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
    "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    // Signals.
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "sigaltstack",
    // Memory; what is executable, see AddMemoryRules().
    "brk", "munmap", "mremap", "madvise", "msync", "mincore", "mlock",
    "munlock", "membarrier",
    // Threads; new ones, see AddThreadRules().
    "set_robust_list", "get_robust_list", "rseq", "exit", "exit_group",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu",
    // What it is and has.
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
    "getresuid", "getresgid", "getgroups", "getpgrp", "getpgid", "getsid",
    "getrlimit", "prlimit64", "getrusage", "sysinfo", "uname", "getrandom",
    "capget"};

// What a server that counts packets never does, and an intruder does first:
// ends the process. Calls that are in no list fail with ENOSYS.
constexpr const char* kFatal[] = {"execve",
                                  "execveat",
                                  "fork",
                                  "vfork",
                                  "ptrace",
                                  "process_vm_readv",
                                  "process_vm_writev",
                                  "bpf",
                                  "perf_event_open",
                                  "userfaultfd",
                                  "unshare",
                                  "setns",
                                  "mount",
                                  "umount2",
                                  "move_mount",
                                  "open_tree",
                                  "fsopen",
                                  "pivot_root",
                                  "chroot",
                                  "init_module",
                                  "finit_module",
                                  "delete_module",
                                  "kexec_load",
                                  "kexec_file_load",
                                  "reboot",
                                  "swapon",
                                  "swapoff",
                                  "keyctl",
                                  "add_key",
                                  "request_key",
                                  "open_by_handle_at",
                                  "personality",
                                  "setuid",
                                  "setgid",
                                  "setreuid",
                                  "setregid",
                                  "setresuid",
                                  "setresgid",
                                  "setgroups",
                                  "setfsuid",
                                  "setfsgid",
                                  "capset",
                                  "mknod",
                                  "mknodat",
                                  "iopl",
                                  "ioperm",
                                  "io_uring_setup",
                                  "pidfd_getfd",
                                  "kcmp",
                                  "acct",
                                  "quotactl",
                                  "settimeofday",
                                  "clock_settime",
                                  "sethostname",
                                  "setdomainname"};

constexpr int kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
// Is it a terminal; how much is there to read, or still to be sent.
constexpr unsigned kControls[] = {TCGETS, FIONREAD, FIONBIO, TIOCOUTQ};
constexpr int kThreadNames[] = {PR_SET_NAME, PR_GET_NAME};

// Collects rules, and the first error.
class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), seccomp_release) {}

  bool made() const { return context_ != nullptr; }

  void Set(scmp_filter_attr attribute, uint32_t value) {
    Note(seccomp_attr_set(context_.get(), attribute, value), "attribute");
  }

  void Add(uint32_t action, const char* call,
           std::vector<scmp_arg_cmp> arguments = {}) {
    const int number = seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR) return;
    const int result = seccomp_rule_add_array(
        context_.get(), action, number, arguments.size(), arguments.data());
    // -EDOM: a call of other architectures.
    if (result != -EDOM) Note(result, call);
  }

  void Allow(const char* call, std::vector<scmp_arg_cmp> arguments = {}) {
    Add(SCMP_ACT_ALLOW, call, std::move(arguments));
  }

  absl::Status Load() {
    Note(seccomp_load(context_.get()), "loading it");
    return status_;
  }

 private:
  void Note(int result, absl::string_view what) {
    if (result == 0 || !status_.ok()) return;
    status_ = MakeError(
        absl::StatusCode::kInternal, "SANDBOX_FAILED",
        absl::StrCat("seccomp: ", what, ": ", strerror(-result),
                     "; --no-sandbox starts without it and without Landlock"));
  }

  const std::unique_ptr<void, void (*)(void*)> context_;
  absl::Status status_;
};

scmp_arg_cmp Is(unsigned argument, uint64_t value) {
  return {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
}

scmp_arg_cmp Has(unsigned argument, uint64_t mask, uint64_t value) {
  return {.arg = argument,
          .op = SCMP_CMP_MASKED_EQ,
          .datum_a = mask,
          .datum_b = value};
}

void AddSocketRules(Filter& filter) {
  for (const int family : kFamilies) {
    filter.Allow("socket", {Is(0, family)});
  }
  filter.Allow("socketpair", {Is(0, AF_UNIX)});
  for (const unsigned control : kControls) {
    filter.Allow("ioctl", {Is(1, control)});
  }
}

// Memory is written or executed, never both, and what was once written does
// not become executable. Libraries are still loaded by mapping their files.
void AddMemoryRules(Filter& filter) {
  filter.Allow("mmap", {Has(2, PROT_EXEC, 0)});
  filter.Allow("mmap", {Has(2, PROT_WRITE | PROT_EXEC, PROT_EXEC),
                        Has(3, MAP_ANONYMOUS, 0)});
  filter.Allow("mprotect", {Has(2, PROT_EXEC, 0)});
}

// Threads, but no processes, and in no namespace of their own. The arguments
// of clone3 are out of a filter's sight; glibc falls back to clone.
void AddThreadRules(Filter& filter, pid_t pid) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP |
                                   CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                   CLONE_NEWPID | CLONE_NEWNET;
  filter.Allow("clone", {Has(0, kNamespaces | CLONE_THREAD, CLONE_THREAD)});
  for (const int option : kThreadNames) filter.Allow("prctl", {Is(0, option)});
  filter.Allow("tgkill", {Is(0, static_cast<uint64_t>(pid))});
}

// GCC defines macros for this, and Clang has __has_feature.
constexpr bool IsSanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

absl::Status Unavailable(absl::string_view why) {
  return MakeError(absl::StatusCode::kUnimplemented, "SANDBOX_UNAVAILABLE",
                   absl::StrCat("no seccomp filter: ", why));
}

}  // namespace

absl::Status FilterSystemCalls() {
  if (IsSanitized()) return Unavailable("a build with sanitizers needs more");
  if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == EINVAL) {
    return Unavailable("this kernel is built without CONFIG_SECCOMP_FILTER");
  }
  Filter filter;
  if (!filter.made()) return Unavailable("libseccomp can't make one");
  filter.Set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);  // x32, i386
  filter.Set(SCMP_FLTATR_CTL_TSYNC, 1);
  filter.Set(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a search tree, not a list
  for (const char* call : kAllowed) filter.Allow(call);
  for (const char* call : kFatal) filter.Add(SCMP_ACT_KILL_PROCESS, call);
  AddSocketRules(filter);
  AddMemoryRules(filter);
  AddThreadRules(filter, getpid());
  return filter.Load();
}

}  // namespace nfmeter::security
