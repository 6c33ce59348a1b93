// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_owner_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace nfmeter::kernel {
namespace {

// Whether the network namespace belongs to another user namespace than the
// process is in. False when it can't be told.
bool IsForeignNetwork(const std::string& proc) {
  const UniqueFd network(
      open((proc + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  if (!network.valid()) return false;
  const UniqueFd owner(ioctl(network.get(), NS_GET_USERNS));
  // An owner above ours is not shown.
  if (!owner.valid()) return errno == EPERM;
  struct stat theirs = {};
  struct stat ours = {};
  return fstat(owner.get(), &theirs) == 0 &&
         stat((proc + "/ns/user").c_str(), &ours) == 0 &&
         theirs.st_ino != ours.st_ino;
}

std::optional<RuleFault> FaultOfRange(
    const std::optional<Negatable<IdRange>>& wanted,
    const std::vector<IdRange>& map, const char* field, const char* noun) {
  if (!wanted.has_value() || map.empty()) return std::nullopt;
  for (const uint32_t id : {wanted->value.first, wanted->value.last}) {
    const bool mapped =
        std::any_of(map.begin(), map.end(), [id](const IdRange& range) {
          return range.first <= id && id <= range.last;
        });
    if (mapped) continue;
    return RuleFault{
        field, absl::StrCat("there is no ", noun, " ", id,
                            " in the user namespace of nfmeterd, so the kernel "
                            "refuses it; name one that its ",
                            noun, "_map has")};
  }
  return std::nullopt;
}

}  // namespace

OwnerIds OwnerIds::Find(const std::string& proc) {
  OwnerIds ids;
  ids.uids_ = ReadMap(proc + "/uid_map");
  ids.gids_ = ReadMap(proc + "/gid_map");
  ids.foreign_network_ = IsForeignNetwork(proc);
  return ids;
}

OwnerIds::Ranges OwnerIds::ReadMap(const std::string& path) {
  Ranges ranges;
  std::ifstream lines(path);
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 0;
  while (lines >> inside >> outside >> count) {
    if (count > 0) ranges.push_back({inside, inside + (count - 1)});
  }
  return ranges;
}

std::optional<RuleFault> OwnerIds::FaultOf(const RuleMatch& match) const {
  const bool uid = match.owner_uid.has_value();
  if ((uid || match.owner_gid.has_value()) && foreign_network_) {
    return RuleFault{
        uid ? "match.owner_uid" : "match.owner_gid",
        "the network namespace belongs to another user namespace than that of "
        "nfmeterd, and there the kernel knows no owners; run nfmeterd in the "
        "user namespace that owns the network"};
  }
  if (auto fault =
          FaultOfRange(match.owner_uid, uids_, "match.owner_uid", "uid")) {
    return fault;
  }
  return FaultOfRange(match.owner_gid, gids_, "match.owner_gid", "gid");
}

}  // namespace nfmeter::kernel
