// SPDX-License-Identifier: GPL-3.0-or-later
// Names of counters <-> names of nf_tables objects. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "kernel/acct_names.h"

namespace nfmeter::kernel {

// The kernel takes nearly any bytes, but nft can load only names that begin
// with a letter, go on with letters, digits, '/', '-', '_' and '.', and are no
// word of its language. So a counter `web` is the object `c.web`, and bytes
// beyond those become "_x" and two hex digits: `a+b` is `c.a_x2bb`. An
// underscore before an x is escaped too, so that no two names meet. A name that
// is too long when it is escaped is there as "h." and a hash; the object's
// userdata has all of it.

// `name` satisfies IsAcctName(), or is one that CounterNameOf() made.
std::string NftObjectName(absl::string_view name);

// Whether the object is named by a hash.
inline bool IsHashedNftName(absl::string_view object_name) {
  return absl::StartsWith(object_name, "h.");
}

// What is shown of such an object while nobody knows its counter's name: a '~',
// which no counter of ours has in its name, and the object's.
inline bool IsShownHash(absl::string_view name) {
  return absl::StartsWith(name, "~h.");
}

// The name of the counter that is shown so, where it is known.
void ResolveHash(const AcctNames& names, std::string& name);

// The reverse, appended to `name`. False, and nothing appended, for a name that
// NftObjectName() never makes: the object is somebody else's.
bool AppendCounterName(absl::string_view object_name, std::string& name);

// The reverse without a copy: a part of `object_name` where nothing is escaped
// (nearly always), else `scratch`. Empty for somebody else's.
absl::string_view CounterNameOf(absl::string_view object_name,
                                std::string& scratch);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_
