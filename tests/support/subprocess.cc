// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"

namespace nfmeter::testing {
namespace {

void AddSbinToPath() {
  static const bool done = [] {
    const char* path = getenv("PATH");
    setenv("PATH",
           absl::StrCat(path == nullptr ? "/usr/bin:/bin" : path,
                        ":/usr/local/sbin:/usr/sbin:/sbin")
               .c_str(),
           1);
    return true;
  }();
  (void)done;
}

// In a child that shares its parent's memory until it has called exec(); a
// positive errno in `error` when it can't. Only system calls from here on.
[[noreturn]] void Exec(char* const* arguments, const int (&from)[3],
                       pid_t parent, volatile int& error) {
  const bool prepared = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
                        dup2(from[0], 0) == 0 && dup2(from[1], 1) == 1 &&
                        dup2(from[2], 2) == 2;
  // A parent that ended before the prctl() sends no signal.
  if (getppid() != parent) _exit(127);
  if (prepared) execvp(arguments[0], arguments);
  error = errno;
  _exit(127);
}

// Starts `argv` with the three descriptors; a negative errno when it can't. It
// is killed when this thread ends, however that comes: a test that is killed
// itself leaves nothing running.
pid_t Spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  AddSbinToPath();
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int from[3] = {in, out, err};
  const pid_t parent = getpid();
  volatile int error = 0;
  // posix_spawn() can't tell the kernel about the parent's death.
  const pid_t pid = vfork();
  if (pid == 0) Exec(arguments.data(), from, parent, error);
  if (pid < 0) return -errno;
  if (error == 0) return pid;
  waitpid(pid, nullptr, 0);
  return -error;
}

int ExitCode(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
                                  : WEXITSTATUS(wait_status);
}

// Reads what is there; closes the descriptor at its end.
void Drain(int& fd, std::string& into) {
  char buffer[65536];
  const ssize_t count = read(fd, buffer, sizeof(buffer));
  if (count > 0) {
    into.append(buffer, count);
  } else if (count == 0 || errno != EINTR) {
    close(fd);
    fd = -1;
  }
}

}  // namespace

RunResult Run(const std::vector<std::string>& argv, absl::string_view input) {
  RunResult result;
  // The input goes through a file, so that nobody waits for anybody.
  const int in = memfd_create("stdin", MFD_CLOEXEC);
  if (write(in, input.data(), input.size()) !=
      static_cast<ssize_t>(input.size())) {
    result.err = strerror(errno);
    return result;
  }
  lseek(in, 0, SEEK_SET);
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    result.err = strerror(errno);
    return result;
  }
  const pid_t pid = Spawn(argv, in, out[1], err[1]);
  close(in);
  close(out[1]);
  close(err[1]);
  if (pid < 0) {
    close(out[0]);
    close(err[0]);
    result.exit_code = 127;
    result.err = absl::StrCat(argv[0], ": ", strerror(-pid));
    return result;
  }
  while (out[0] >= 0 || err[0] >= 0) {
    pollfd ready[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[0].revents != 0) Drain(out[0], result.out);
    if (ready[1].revents != 0) Drain(err[0], result.err);
  }
  int wait_status = 0;
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = ExitCode(wait_status);
  return result;
}

Background::Background(const std::vector<std::string>& argv,
                       const std::string& log_path) {
  const std::string path = log_path.empty() ? "/dev/null" : log_path;
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = Spawn(argv, in, out, out);
  close(in);
  close(out);
}

Background::~Background() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Background::Signal(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

int Background::Wait(absl::Duration timeout) {
  if (pid_ <= 0) return 127;
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  pollfd ended = {pidfd, POLLIN, 0};
  const bool in_time =
      poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) ==
      1;
  close(pidfd);
  if (!in_time) kill(pid_, SIGKILL);
  int wait_status = 0;
  waitpid(pid_, &wait_status, 0);
  pid_ = -1;
  return in_time ? ExitCode(wait_status) : -1;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "nfmeter-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::operator/(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

}  // namespace nfmeter::testing
