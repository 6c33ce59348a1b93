// SPDX-License-Identifier: GPL-3.0-or-later
// The owner of a file descriptor.
#ifndef NFMETER_BASE_UNIQUE_FD_H_
#define NFMETER_BASE_UNIQUE_FD_H_

#include <errno.h>
#include <unistd.h>

#include <utility>

namespace nfmeter {

// Closes its descriptor at its end, and leaves errno as it was, so that whoever
// returns early may still read it. What open(), socket() and the like answer is
// given to it as it is: a negative number means that it owns nothing.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Close(); }

  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.release();
    }
    return *this;
  }

  bool valid() const { return fd_ >= 0; }
  // Negative: none.
  int get() const { return fd_; }
  // The descriptor, which the caller owns from now on.
  int release() { return std::exchange(fd_, -1); }

 private:
  void Close() {
    if (fd_ < 0) return;
    const int kept = errno;
    ::close(fd_);
    errno = kept;
  }

  int fd_ = -1;
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_UNIQUE_FD_H_
