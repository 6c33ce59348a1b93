// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/nf_tables_tables.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_escape.h"
#include "kernel/linux/netlink/nf_tables_dump.h"

namespace nfmeter::kernel {
std::vector<std::string> NfTablesTables() {
  std::vector<std::string> names;
  NfTablesDump().Run(NFT_MSG_GETTABLE, NFPROTO_UNSPEC, /*table=*/"",
                     /*chain=*/"", [&](uint8_t family, ByteSpan attributes) {
                       const std::string name =
                           NfTablesText(attributes, NFTA_TABLE_NAME);
                       names.push_back(absl::StrCat(NfTablesFamily(family), " ",
                                                    EscapeName(name)));
                     });
  return names;
}

std::string NameNfTablesTables(absl::Span<const std::string> tables) {
  return absl::StrCat("tables ", FirstOf(tables, 5));
}

std::string FirstOf(absl::Span<const std::string> names, size_t most) {
  const auto shown = names.subspan(0, most);
  const std::string text = absl::StrJoin(shown, ", ");
  if (shown.size() == names.size()) return text;
  return absl::StrCat(text, " and ", names.size() - shown.size(), " more");
}

}  // namespace nfmeter::kernel
