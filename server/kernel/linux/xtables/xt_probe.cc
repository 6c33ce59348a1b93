// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_probe.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "kernel/errno_status.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

std::map<std::string, std::string> Metadata(absl::string_view kind,
                                            absl::string_view name,
                                            Family family) {
  return {{std::string(kind), std::string(name)},
          {"family", std::string(FamilyName(family))}};
}

absl::Status NoMatch(Family family, absl::string_view name) {
  const absl::string_view ip = family == Family::kIpv4 ? "ip" : "ip6";
  return MakeError(
      absl::StatusCode::kUnimplemented,
      absl::StrCat(
          "this kernel has no '", name, "' match for ", FamilyName(family),
          " rules: load it with 'modprobe xt_", name,
          "' (in a container the host loads the module and '", ip,
          "_tables'), or use a kernel that is built with it",
          name == "nfacct" ? ", or nfmeter's own modules (kmod/)" : ""),
      {.reason = "MATCH_UNAVAILABLE",
       .metadata = Metadata("match", name, family)});
}

absl::Status NoTarget(Family family, absl::string_view name) {
  return MakeError(
      absl::StatusCode::kUnimplemented,
      absl::StrCat("this kernel has no ", name, " target for ",
                   FamilyName(family),
                   " rules: it comes with nfmeter's own kernel modules "
                   "(kmod/README.md; on the host 'modprobe xt_",
                   name, "')"),
      {.reason = "TARGET_UNAVAILABLE",
       .metadata = Metadata("target", name, family)});
}

// 0: the kernel has this extension in this revision. `option` asks for it.
int AskRevision(Family family, int option, absl::string_view name,
                uint8_t revision) {
  const bool v4 = family == Family::kIpv4;
  const UniqueFd fd(
      socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd.valid()) return errno;
  xt_get_revision question = {};
  name.copy(question.name, sizeof(question.name) - 1);
  question.revision = revision;
  socklen_t size = sizeof(question);
  const int result = getsockopt(fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                                option, &question, &size);
  return result == 0 ? 0 : errno;
}

// EPROTONOSUPPORT: there is such an extension, but not in this revision.
bool IsAbsence(int err) { return err == ENOENT || err == EPROTONOSUPPORT; }

// Asks the kernel to load what legacy iptables of this family needs, if it is a
// module and the kernel may load it. The socket options of tables load nothing.
//
// nf_tables' layer for x_tables (nft_compat.c) looks for an extension by the
// alias "ipt_NAME" or "ip6t_NAME", and the tables themselves have such an alias
// for the one that they bring: until Linux 6.3, from when on that one is in
// another module, and only the host can load the tables.
void LoadTables(Family family) {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(
      mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  if (socket == nullptr) return;
  std::array<char, 8192> buffer;
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = (NFNL_SUBSYS_NFT_COMPAT << 8) | NFNL_MSG_COMPAT_GET;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  auto* message = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  const bool v4 = family == Family::kIpv4;
  message->nfgen_family = v4 ? AF_INET : AF_INET6;
  message->version = NFNETLINK_V0;
  mnl_attr_put_strz(header, NFTA_COMPAT_NAME, v4 ? "icmp" : "icmp6");
  mnl_attr_put_u32(header, NFTA_COMPAT_REV, 0);
  mnl_attr_put_u32(header, NFTA_COMPAT_TYPE, 0);  // a match
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) return;
  // The kernel loads before it answers, and what it answers is of no interest.
  mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
}

}  // namespace

absl::Status ProbeMatchRevision(Family family, absl::string_view name,
                                uint8_t revision) {
  const int option = family == Family::kIpv4 ? IPT_SO_GET_REVISION_MATCH
                                             : IP6T_SO_GET_REVISION_MATCH;
  const int err = AskRevision(family, option, name, revision);
  if (err == 0) return absl::OkStatus();
  if (IsAbsence(err)) return NoMatch(family, name);
  return ErrnoStatus(Operation::kRuleRead, err, FamilyName(family));
}

absl::Status ProbeTargetRevision(Family family, absl::string_view name,
                                 uint8_t revision) {
  const int option = family == Family::kIpv4 ? IPT_SO_GET_REVISION_TARGET
                                             : IP6T_SO_GET_REVISION_TARGET;
  const int err = AskRevision(family, option, name, revision);
  if (err == 0) return absl::OkStatus();
  if (IsAbsence(err)) return NoTarget(family, name);
  return ErrnoStatus(Operation::kRuleRead, err, FamilyName(family));
}

// Every rule has a target, and this one ip_tables brings itself.
absl::Status ProbeIpTables(Family family) {
  const int option = family == Family::kIpv4 ? IPT_SO_GET_REVISION_TARGET
                                             : IP6T_SO_GET_REVISION_TARGET;
  const int err = AskRevision(family, option, XT_ERROR_TARGET, 0);
  return err == 0 ? absl::OkStatus()
                  : ErrnoStatus(Operation::kRuleRead, err,
                                TableSubject(family, Table::kFilter));
}

absl::Status ProbeTables(Family family) {
  const absl::Status status = ProbeIpTables(family);
  if (!absl::IsUnimplemented(status)) return status;
  LoadTables(family);
  return ProbeIpTables(family);
}

}  // namespace nfmeter::kernel
