// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/nf_tables_tables.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_escape.h"
#include "kernel/linux/netlink/nf_tables_dump.h"

namespace nfmeter::kernel {
namespace {

int OnTableName(const nlattr* attribute, void* name) {
  if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
      mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) {
    *static_cast<std::string*>(name) = mnl_attr_get_str(attribute);
  }
  return MNL_CB_OK;
}

}  // namespace

std::vector<std::string> NfTablesTables() {
  std::vector<std::string> names;
  NfTablesDump().Run(
      NFT_MSG_GETTABLE, NFPROTO_UNSPEC, /*table=*/"", /*chain=*/"",
      [&](uint8_t family, const nlmsghdr* message) {
        std::string name;
        mnl_attr_parse(message, sizeof(nfgenmsg), OnTableName, &name);
        names.push_back(
            absl::StrCat(NfTablesFamily(family), " ", EscapeName(name)));
      });
  return names;
}

std::string NameNfTablesTables(std::vector<std::string> tables) {
  constexpr size_t kMostNamed = 5;
  std::string more;
  if (tables.size() > kMostNamed) {
    more = absl::StrCat(" and ", tables.size() - kMostNamed, " more");
    tables.resize(kMostNamed);
  }
  return absl::StrCat("tables ", absl::StrJoin(tables, ", "), more);
}

}  // namespace nfmeter::kernel
