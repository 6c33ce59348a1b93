// SPDX-License-Identifier: GPL-3.0-or-later
// What nf_tables keeps for its users beside tables, objects and rules: nft's
// own form of it, entries of a type, a length and bytes. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_USERDATA_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_USERDATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "kernel/linux/netlink/netlink_message.h"

namespace nfmeter::kernel {

// Longest userdata of a rule or an object (NFT_USERDATA_MAXLEN).
inline constexpr size_t kNftUserdataMaxBytes = 256;
// Longest comment that nft loads (NFTNL_UDATA_COMMENT_MAXLEN less its NUL).
inline constexpr size_t kNftCommentMaxBytes = 127;

// Whether nft prints these bytes so that it reads them as they are: it writes
// comments between quotes and escapes nothing.
bool IsNftComment(absl::string_view text);

// The comment that `nft list` shows (NFTNL_UDATA_RULE_COMMENT and its kin,
// which are all 0), as userdata. `text` satisfies IsNftComment().
std::string NftComment(absl::string_view text);
// The reverse; nullopt without one.
std::optional<absl::string_view> ReadNftComment(ByteSpan userdata);

// Entries that nft passes over; a save and restore loses them, so they hold
// only what can't stand in a comment.
enum class NftEntry : uint8_t {
  kWords = 0xe0,       // of a comment that nft can't print
  kCgroupPath = 0xe1,  // of the cgroup whose number the rule has
  // As they were given, where a set has them in another order.
  kSourcePorts = 0xe2,
  kDestinationPorts = 0xe3,
  kCounterName = 0xe4,  // of an object that is named by a hash
};
// `bytes` are at most 254. They are read back whole.
void AppendNftEntry(NftEntry type, absl::string_view bytes, std::string& out);
std::optional<absl::string_view> ReadNftEntry(NftEntry type, ByteSpan userdata);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_USERDATA_H_
