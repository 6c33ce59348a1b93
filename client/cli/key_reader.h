// SPDX-License-Identifier: Apache-2.0
// Keys as they are pressed.
#ifndef NFMETER_CLI_KEY_READER_H_
#define NFMETER_CLI_KEY_READER_H_

#include <termios.h>

#include <functional>
#include <thread>

namespace nfmeter::cli {

// While it lives, the terminal at standard input gives each key at once and
// shows none. Ctrl-C stays a signal. One at a time in a process.
class KeyReader {
 public:
  // `on_key` is called with each byte, on a thread of this object.
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
