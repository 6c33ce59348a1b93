// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace nfmeter {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;
constexpr size_t kBlockBytes = 64 << 10;
// How long a pipe that has nothing to read is waited for.
constexpr int kPatienceMilliseconds = 1000;

absl::Status Unreadable(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": cannot be read: ", why));
}

std::string Why(int error) {
  switch (error) {
    case EISDIR:
      return "it is a folder";
    case EAGAIN:
      return "it is no file, and nothing comes out of it";
    case EACCES:
      return absl::StrCat(
          strerror(error),
          "; let the user that nfmeterd runs as read it and pass its folders "
          "(root's right to read everything is given up)");
    default:
      return strerror(error);
  }
}

// Bytes read, 0 at the end; -1 with errno, EAGAIN after waiting.
ssize_t ReadPatiently(int fd, char* to, size_t size) {
  const ssize_t count = read(fd, to, size);
  if (count >= 0 || errno != EAGAIN) return count;
  pollfd waited = {.fd = fd, .events = POLLIN};
  poll(&waited, 1, kPatienceMilliseconds);
  return read(fd, to, size);
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Unreadable(path, Why(errno));
  std::string text;
  while (true) {
    const size_t size = text.size();
    text.resize(size + kBlockBytes);
    const ssize_t count =
        ReadPatiently(fd.get(), text.data() + size, kBlockBytes);
    if (count < 0) return Unreadable(path, Why(errno));
    text.resize(size + count);
    if (count == 0) return text;
    if (text.size() > kMaxFileBytes) {
      return Unreadable(path, "it is larger than 4 MiB");
    }
  }
}

}  // namespace nfmeter
