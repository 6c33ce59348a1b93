// SPDX-License-Identifier: Apache-2.0
#include "cli/key_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace nfmeter::cli {
namespace {

bool EndsSequence(char byte) { return byte >= '@' && byte <= '~'; }

}  // namespace

std::string PlainKeys(absl::string_view typed) {
  std::string keys;
  for (size_t i = 0; i < typed.size(); ++i) {
    const bool begins = typed[i] == kEscape && i + 1 < typed.size() &&
                        (typed[i + 1] == '[' || typed[i + 1] == 'O');
    if (!begins) {
      keys.push_back(typed[i]);
      continue;
    }
    for (i += 2; i < typed.size() && !EndsSequence(typed[i]);) ++i;
  }
  return keys;
}

KeyReader::KeyReader(std::function<void(char)> on_key)
    : before_(), stop_(eventfd(0, EFD_CLOEXEC)) {
  if (tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios keys = before_;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
  }
  thread_ = std::thread([this, on_key = std::move(on_key)] { Read(on_key); });
}

KeyReader::~KeyReader() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(stop_, &one, sizeof(one));
  thread_.join();
  close(stop_);
  if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void KeyReader::Read(const std::function<void(char)>& on_key) const {
  pollfd files[] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                    {.fd = stop_, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(files, 2, -1) < 0) continue;  // a signal
    if (files[1].revents != 0) return;
    char typed[64];
    const ssize_t length = read(STDIN_FILENO, typed, sizeof(typed));
    if (length <= 0) return;
    for (const char key : PlainKeys({typed, static_cast<size_t>(length)})) {
      on_key(key);
    }
  }
}

}  // namespace nfmeter::cli
