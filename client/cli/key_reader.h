// SPDX-License-Identifier: Apache-2.0
// Keys as they are pressed.
#ifndef NFMETER_CLI_KEY_READER_H_
#define NFMETER_CLI_KEY_READER_H_

#include <termios.h>

#include <functional>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"

namespace nfmeter::cli {

// What was typed at once, without arrows and other keys that a terminal sends
// as several bytes: Escape, '[' or 'O', and up to a letter or '~' (ECMA-48,
// 5.4). Escape alone is a key.
std::string PlainKeys(absl::string_view typed);

// The key, and how longer ones begin.
inline constexpr char kEscape = '\x1b';

// While it lives, the terminal at standard input gives each key at once and
// shows none. Ctrl-C stays a signal. One at a time in a process.
class KeyReader {
 public:
  // `on_key` is called with each of PlainKeys(), on a thread of this object.
  explicit KeyReader(std::function<void(char)> on_key);
  // The terminal is as it was.
  ~KeyReader();
  KeyReader(const KeyReader&) = delete;
  KeyReader& operator=(const KeyReader&) = delete;

 private:
  void Read(const std::function<void(char)>& on_key) const;

  termios before_;
  bool changed_ = false;
  int stop_ = -1;  // an eventfd
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_KEY_READER_H_
