// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/ip_set_socket.h"

#include <errno.h>
#include <linux/in.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

constexpr int kIpSetOption = 83;  // SO_IP_SET, which no exported header has

absl::Status SetError(int err, absl::string_view subject) {
  return ErrnoStatus(Operation::kIpSetLookup, err, subject);
}

// The kernel writes its answer into the question.
template <typename Question>
absl::Status Ask(const UniqueFd& fd, Question& question,
                 absl::string_view subject) {
  socklen_t size = sizeof(question);
  return getsockopt(fd.get(), IPPROTO_IP, kIpSetOption, &question, &size) == 0
             ? absl::OkStatus()
             : SetError(errno, subject);
}

}  // namespace

absl::Status IpSetSocket::Open(absl::string_view subject) {
  if (fd_.valid()) return absl::OkStatus();
  UniqueFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd.valid()) return SetError(errno, subject);
  ip_set_req_version question = {.op = IP_SET_OP_VERSION};
  NFM_RETURN_IF_ERROR(Ask(fd, question, subject));
  fd_ = std::move(fd);
  version_ = question.version;
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> IpSetSocket::IndexOf(absl::string_view name) {
  NFM_RETURN_IF_ERROR(Open(name));
  ip_set_req_get_set question = {.op = IP_SET_OP_GET_BYNAME,
                                 .version = version_};
  if (name.size() >= sizeof(question.set.name)) return SetError(ENOENT, name);
  name.copy(question.set.name, name.size());
  NFM_RETURN_IF_ERROR(Ask(fd_, question, name));
  if (question.set.index == IPSET_INVALID_ID) return SetError(ENOENT, name);
  return question.set.index;
}

absl::StatusOr<std::string> IpSetSocket::NameOf(uint16_t index) {
  const std::string subject = absl::StrCat("#", index);
  NFM_RETURN_IF_ERROR(Open(subject));
  ip_set_req_get_set question = {.op = IP_SET_OP_GET_BYINDEX,
                                 .version = version_};
  question.set.index = index;
  NFM_RETURN_IF_ERROR(Ask(fd_, question, subject));
  const size_t length = strnlen(question.set.name, sizeof(question.set.name));
  // An index without a set gives an empty name.
  if (length == 0) return SetError(ENOENT, subject);
  return std::string(question.set.name, length);
}

}  // namespace nfmeter::kernel
