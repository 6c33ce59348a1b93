// SPDX-License-Identifier: GPL-3.0-or-later
// owner and cgroup: the socket that sent the packet.
#include <linux/netfilter/xt_cgroup.h>
#include <linux/netfilter/xt_owner.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// owner

void PrintIds(const xt_owner_match_info& owner, uint8_t flag,
              const char* option, IdRange ids, std::string& text) {
  if ((owner.match & flag) == 0) return;
  AppendNegation(owner.invert & flag, text);
  absl::StrAppend(&text, option, " ", ids.first);
  if (ids.first != ids.last) absl::StrAppend(&text, "-", ids.last);
}

void PrintFlag(const xt_owner_match_info& owner, uint8_t flag,
               const char* option, std::string& text) {
  if ((owner.match & flag) == 0) return;
  AppendNegation(owner.invert & flag, text);
  text.append(option);
}

void PrintOwner(const MatchContext&, const xt_owner_match_info& owner,
                std::string& text) {
  PrintFlag(owner, XT_OWNER_SOCKET, " --socket-exists", text);
  PrintIds(owner, XT_OWNER_UID, " --uid-owner", {owner.uid_min, owner.uid_max},
           text);
  PrintIds(owner, XT_OWNER_GID, " --gid-owner", {owner.gid_min, owner.gid_max},
           text);
  PrintFlag(owner, XT_OWNER_SUPPL_GROUPS, " --suppl-groups", text);
}

bool DecodeOwner(const MatchContext&, const xt_owner_match_info& owner,
                 DecodedEntry& out) {
  // Supplementary groups widen what the gid means.
  const bool suppl_groups = (owner.match & XT_OWNER_SUPPL_GROUPS) != 0;
  bool complete = (owner.match & ~(XT_OWNER_UID | XT_OWNER_GID)) == 0;
  if ((owner.match & XT_OWNER_UID) != 0) {
    complete &=
        SetOnce(out.match.owner_uid, IdRange{owner.uid_min, owner.uid_max},
                owner.invert & XT_OWNER_UID);
  }
  if ((owner.match & XT_OWNER_GID) != 0 && !suppl_groups) {
    complete &=
        SetOnce(out.match.owner_gid, IdRange{owner.gid_min, owner.gid_max},
                owner.invert & XT_OWNER_GID);
  }
  return complete;
}

absl::Status AppendOwner(const RuleMatch& match, MatchWriter& out) {
  if (!match.owner_uid.has_value() && !match.owner_gid.has_value()) {
    return absl::OkStatus();
  }
  xt_owner_match_info owner{};
  if (match.owner_uid.has_value()) {
    owner.match |= XT_OWNER_UID;
    owner.uid_min = match.owner_uid->value.first;
    owner.uid_max = match.owner_uid->value.last;
    if (match.owner_uid->negated) owner.invert |= XT_OWNER_UID;
  }
  if (match.owner_gid.has_value()) {
    owner.match |= XT_OWNER_GID;
    owner.gid_min = match.owner_gid->value.first;
    owner.gid_max = match.owner_gid->value.last;
    if (match.owner_gid->negated) owner.invert |= XT_OWNER_GID;
  }
  if (owner.uid_min > owner.uid_max || owner.gid_min > owner.gid_max) {
    return NotExpressible("a range of uids or gids is upside down");
  }
  out.Append("owner", 1, owner);
  return absl::OkStatus();
}

// cgroup

void PrintCgroup(const MatchContext&, const xt_cgroup_info_v2& cgroup,
                 std::string& text) {
  if (cgroup.has_path != 0) {
    AppendNegation(cgroup.invert_path != 0, text);
    text.append(" --path");
    AppendQuoted(TextOf(cgroup.path), text);
  }
  if (cgroup.has_classid != 0) {
    AppendNegation(cgroup.invert_classid != 0, text);
    absl::StrAppend(&text, " --cgroup ", cgroup.classid);
  }
}

bool DecodeCgroup(const MatchContext&, const xt_cgroup_info_v2& cgroup,
                  DecodedEntry& out) {
  if (cgroup.has_path == 0 || cgroup.has_classid != 0) return false;
  return SetOnce(out.match.cgroup_path, std::string(TextOf(cgroup.path)),
                 cgroup.invert_path != 0);
}

absl::Status AppendCgroup(const RuleMatch& match, MatchWriter& out) {
  if (!match.cgroup_path.has_value()) return absl::OkStatus();
  const std::string& path = match.cgroup_path->value;
  xt_cgroup_info_v2 cgroup{};
  if (path.empty() || path.size() >= sizeof(cgroup.path) ||
      path.find('\0') != std::string::npos) {
    return NotExpressible(absl::StrCat("a cgroup's path has 1 to ",
                                       XT_CGROUP_PATH_MAX - 1,
                                       " bytes and no NUL"));
  }
  cgroup.has_path = 1;
  cgroup.invert_path = match.cgroup_path->negated ? 1 : 0;
  memcpy(cgroup.path, path.data(), path.size());
  out.Append("cgroup", 2, cgroup);
  return absl::OkStatus();
}

}  // namespace

absl::Span<const ExtensionKind> OriginMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintOwner, DecodeOwner>("owner", 1),
      KnownKind<PrintCgroup, DecodeCgroup>("cgroup", 2),
  };
  return kKinds;
}

absl::Status AppendOriginMatches(const MatchContext&, const RuleMatch& match,
                                 MatchWriter& out) {
  NFM_RETURN_IF_ERROR(AppendOwner(match, out));
  return AppendCgroup(match, out);
}

}  // namespace nfmeter::kernel
