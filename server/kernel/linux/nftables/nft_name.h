// SPDX-License-Identifier: GPL-3.0-or-later
// Names of counters <-> names of nf_tables objects. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// The kernel takes nearly any bytes, but nft can load only names that begin
// with a letter, go on with letters, digits, '/', '-', '_' and '.', and are no
// word of its language. So a counter `web` is the object `c.web`, and bytes
// beyond those become "_x" and two hex digits: `a+b` is `c.a_x2bb`. An
// underscore before an x is escaped too, so that no two names meet.

// `name` satisfies IsAcctName().
std::string NftObjectName(absl::string_view name);

// The reverse, appended to `name`. False, and nothing appended, for a name that
// NftObjectName() never makes: the object is somebody else's.
bool AppendCounterName(absl::string_view object_name, std::string& name);

// The reverse without a copy: a part of `object_name` where nothing is escaped
// (nearly always), else `scratch`. Empty for somebody else's.
absl::string_view CounterNameOf(absl::string_view object_name,
                                std::string& scratch);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_NAME_H_
