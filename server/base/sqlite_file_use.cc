// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sqlite_file_use.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

#include "absl/memory/memory.h"

namespace nfmeter::sqlite {
namespace {

struct File {
  std::array<int, 2> users = {};  // by Way
  bool written = false;           // now
  std::set<uint64_t> waiting;     // the first has the next turn
  uint64_t next_number = 0;       // of one that comes to wait
};

std::mutex& Mutex() {
  static auto* const mutex = new std::mutex();
  return *mutex;
}

// Not absl's, which waits by a clock that may be set.
std::condition_variable& TurnOver() {
  static auto* const over = new std::condition_variable();
  return *over;
}

std::map<std::string, File>& Files() {  // by path
  static auto* const files = new std::map<std::string, File>();
  return *files;
}

}  // namespace

std::unique_ptr<FileUse> FileUse::Begin(const std::string& path, Way way) {
  const std::lock_guard lock(Mutex());
  std::array<int, 2>& users = Files()[path].users;
  if (users[way == Way::kLocked ? 1 : 0] > 0) return nullptr;
  ++users[static_cast<size_t>(way)];
  return absl::WrapUnique(new FileUse(path, way));
}

FileUse::~FileUse() {
  const std::lock_guard lock(Mutex());
  const auto file = Files().find(path_);
  std::array<int, 2>& users = file->second.users;
  --users[static_cast<size_t>(way_)];
  if (users == std::array<int, 2>()) Files().erase(file);
}

bool FileUse::AwaitTurn(absl::Duration patience) {
  std::unique_lock lock(Mutex());
  File& file = Files()[path_];
  const uint64_t number = file.next_number++;
  file.waiting.insert(number);
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  const bool came = TurnOver().wait_until(lock, deadline, [&] {
    return !file.written && *file.waiting.begin() == number;
  });
  file.waiting.erase(number);
  if (came) {
    file.written = true;
  } else {
    // Whoever waits behind one that gave up may be the first now.
    TurnOver().notify_all();
  }
  return came;
}

void FileUse::EndTurn() {
  {
    const std::lock_guard lock(Mutex());
    Files()[path_].written = false;
  }
  TurnOver().notify_all();
}

}  // namespace nfmeter::sqlite
