// SPDX-License-Identifier: Apache-2.0
#include "cli/collect_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/errors.h"
#include "cli/message_text.h"
#include "client/src/status_macros.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::util::TimeUtil;

absl::Status NoState(const std::string& path, absl::string_view why) {
  return WithHint(absl::FailedPreconditionError(absl::StrCat(path, ": ", why)),
                  "give the file that 'usage collect' wrote, or another name "
                  "to begin anew");
}

absl::Status SyncFolderOf(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return FileError("open", folder);
  const int result = fsync(file);
  close(file);
  return result == 0 ? absl::OkStatus() : FileError("sync", folder);
}

bool ReadNumber(const google::protobuf::Struct& state, const char* key,
                uint64_t& number) {
  const auto found = state.fields().find(key);
  return found != state.fields().end() &&
         absl::SimpleAtoi(found->second.string_value(), &number);
}

}  // namespace

absl::Status FileError(absl::string_view what, const std::string& path) {
  return absl::UnknownError(
      absl::StrCat("can't ", what, " ", path, ": ", std::strerror(errno)));
}

absl::Status WriteDurably(int file, absl::string_view text,
                          const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return fdatasync(file) == 0 ? absl::OkStatus() : FileError("write", path);
}

absl::StatusOr<CollectStateFile> CollectStateFile::Open(
    const std::string& path) {
  const std::string lock_path = path + ".lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock < 0) return FileError("open", lock_path);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return WithHint(absl::FailedPreconditionError(
                        absl::StrCat("another process collects with ", path)),
                    "give each collector a state and a name of its own");
  }
  return CollectStateFile(path, lock);
}

CollectStateFile::CollectStateFile(CollectStateFile&& other) noexcept
    : path_(other.path_), lock_(std::exchange(other.lock_, -1)) {}

CollectStateFile::~CollectStateFile() {
  if (lock_ >= 0) close(lock_);
}

bool CollectStateFile::exists() const {
  return access(path_.c_str(), F_OK) == 0;
}

absl::StatusOr<CollectState> CollectStateFile::Load(
    const std::string& consumer) const {
  CollectState state = {.consumer = consumer};
  if (!exists()) return state;
  std::ifstream file(path_);
  if (!file) return FileError("read", path_);
  std::stringstream text;
  text << file.rdbuf();
  google::protobuf::Struct json;
  v1::UsagePosition position;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  if (!google::protobuf::util::JsonStringToMessage(text.str(), &json).ok() ||
      !ReadNumber(json, "epoch", epoch) ||
      !ReadNumber(json, "sequence", sequence) ||
      !ReadNumber(json, "outputBytes", state.output_bytes)) {
    return NoState(path_, "this is no state of a collector");
  }
  const auto owner = json.fields().find("consumer");
  if (owner == json.fields().end() ||
      owner->second.string_value() != consumer) {
    return NoState(path_,
                   absl::StrCat("this is the state of another consumer than '",
                                consumer, "'"));
  }
  uint64_t time = 0;  // as positions of older servers have none
  if (ReadNumber(json, "time", time)) {
    *position.mutable_time() =
        TimeUtil::MicrosecondsToTimestamp(static_cast<int64_t>(time));
  }
  position.set_epoch(epoch);
  position.set_sequence(sequence);
  if (epoch != 0) state.position = position;
  return state;
}

absl::Status CollectStateFile::Save(const CollectState& state) const {
  google::protobuf::Struct json;
  SetText(json, "consumer", state.consumer);
  const v1::UsagePosition position =
      state.position.value_or(v1::UsagePosition());
  SetText(json, "epoch", absl::StrCat(position.epoch()));
  SetText(json, "sequence", absl::StrCat(position.sequence()));
  if (position.has_time()) {
    SetText(json, "time",
            absl::StrCat(TimeUtil::TimestampToMicroseconds(position.time())));
  }
  SetText(json, "outputBytes", absl::StrCat(state.output_bytes));
  const std::string fresh = path_ + ".new";
  const std::string text = MessageToJson(json, JsonLayout::kOneLine) + "\n";
  const int file =
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return FileError("write", fresh);
  const absl::Status written = WriteDurably(file, text, fresh);
  close(file);
  if (!written.ok()) return written;
  if (rename(fresh.c_str(), path_.c_str()) != 0) {
    return FileError("write", path_);
  }
  return SyncFolderOf(path_);
}

}  // namespace nfmeter::cli
