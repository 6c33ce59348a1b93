// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace nfmeter::security {
namespace {

// From linux/landlock.h of Linux 6.12, as Debian 12 has the one of 6.1. Older
// kernels are given shorter structures and fewer bits.
struct RulesetAttributes {
  uint64_t files;
  uint64_t network;
  uint64_t scopes;
};
struct PortAttributes {
  uint64_t access;
  uint64_t port;
};
constexpr uint64_t kRefer = 1 << 13;      // from version 2 on
constexpr uint64_t kTruncate = 1 << 14;   // 3
constexpr uint64_t kIoctl = 1 << 15;      // 5
constexpr uint64_t kBindTcp = 1 << 0;     // 4
constexpr uint64_t kConnectTcp = 1 << 1;  // 4
constexpr uint64_t kSignals = 1 << 1;     // 6
constexpr int kPortRule = 2;

constexpr int kMaxLinks = 40;  // path_resolution(7)

constexpr uint64_t kRead =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite =
    kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | kTruncate;
constexpr uint64_t kMakeSockets =
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
// The rights that a rule may give for something that is not a folder.
constexpr uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE |
                              LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctl;

absl::Status LandlockFailed(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInternal, "SANDBOX_FAILED",
      absl::StrCat("Landlock: ", what, ": ", strerror(errno),
                   "; --no-sandbox starts without it and without seccomp"));
}

// Every right of version 1, then what later ones added.
RulesetAttributes Handled(int version, const FileAccess& access) {
  RulesetAttributes handled = {.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
  if (version >= 2) handled.files |= kRefer;
  if (version >= 3) handled.files |= kTruncate;
  if (version >= 5) handled.files |= kIoctl;
  if (version >= 4) {
    handled.network = kConnectTcp;
    // gRPC takes a port of the kernel's choice for IPv4 and IPv6 alike, and
    // so binds one that nobody knows before.
    const bool any_port = std::find(access.ports.begin(), access.ports.end(),
                                    0) != access.ports.end();
    if (!any_port) handled.network |= kBindTcp;
  }
  if (version >= 6) handled.scopes = kSignals;
  return handled;
}

size_t SizeOfAttributes(int version) {
  if (version >= 6) return sizeof(RulesetAttributes);
  return version >= 4 ? offsetof(RulesetAttributes, scopes)
                      : offsetof(RulesetAttributes, network);
}

absl::Status AllowPath(int ruleset, const RulesetAttributes& handled,
                       const std::string& path, uint64_t access) {
  const UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return absl::OkStatus();  // not there: nothing to reach
  struct stat found;
  if (fstat(fd.get(), &found) != 0) return LandlockFailed(path);
  if (!S_ISDIR(found.st_mode)) access &= kOfFiles;
  const landlock_path_beneath_attr rule = {
      .allowed_access = access & handled.files, .parent_fd = fd.get()};
  if (rule.allowed_access != 0 &&
      syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
              0) != 0) {
    return LandlockFailed(path);
  }
  return absl::OkStatus();
}

absl::Status AllowPort(int ruleset, uint16_t port) {
  const PortAttributes rule = {.access = kBindTcp, .port = port};
  if (syscall(SYS_landlock_add_rule, ruleset, kPortRule, &rule, 0) != 0) {
    return LandlockFailed(absl::StrCat("port ", port));
  }
  return absl::OkStatus();
}

absl::Status AddRules(int ruleset, const RulesetAttributes& handled,
                      const FileAccess& access) {
  const std::pair<const std::vector<std::string>&, uint64_t> rights[] = {
      {access.readable, kRead},
      {access.writable, kWrite},
      {access.socket_folders, kMakeSockets}};
  for (const auto& [paths, right] : rights) {
    for (const std::string& path : paths) {
      NFM_RETURN_IF_ERROR(AllowPath(ruleset, handled, path, right));
    }
  }
  if ((handled.network & kBindTcp) == 0) return absl::OkStatus();
  for (const uint16_t port : access.ports) {
    NFM_RETURN_IF_ERROR(AllowPort(ruleset, port));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> RestrictFiles(const FileAccess& access) {
  const int version =
      static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0,
                               LANDLOCK_CREATE_RULESET_VERSION));
  // Not built in, switched off, or forbidden by a container's own filter.
  if (version <= 0) return 0;
  const RulesetAttributes handled = Handled(version, access);
  const UniqueFd ruleset(static_cast<int>(syscall(
      SYS_landlock_create_ruleset, &handled, SizeOfAttributes(version), 0)));
  if (!ruleset.valid()) return LandlockFailed("making the rules");
  NFM_RETURN_IF_ERROR(AddRules(ruleset.get(), handled, access));
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return LandlockFailed("turning it on");
  }
  return version;
}

// Follows `path` as the kernel does, link after link, as any of the links may
// be pointed elsewhere later.
std::vector<std::string> FoldersToRead(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<std::string> folders;
  const auto add_folder_of = [&](const fs::path& file) {
    const std::string folder =
        fs::weakly_canonical(file.parent_path(), ignored).string();
    // Not the whole file system.
    if (!folder.empty() && folder != "/") folders.push_back(folder);
  };
  const fs::path whole = fs::absolute(path, ignored);
  add_folder_of(whole);
  std::deque<fs::path> ahead(whole.begin(), whole.end());
  fs::path way;
  int links = 0;
  while (!ahead.empty()) {
    const fs::path next = way / ahead.front();
    ahead.pop_front();
    if (!fs::is_symlink(next, ignored)) {
      way = next;
      continue;
    }
    if (++links > kMaxLinks) break;
    const fs::path target = fs::read_symlink(next, ignored);
    add_folder_of(way / target);
    ahead.insert(ahead.begin(), target.begin(), target.end());
    if (target.is_absolute()) way.clear();
  }
  return folders;
}

}  // namespace nfmeter::security
