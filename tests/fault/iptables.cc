// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/iptables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {
namespace {

absl::Status StatusOf(const RunResult& result, const std::string& what) {
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(what, ": ", result.exit_code, " ", result.err));
}

}  // namespace

absl::Status Iptables(const std::string& arguments) {
  std::vector<std::string> argv = {"iptables-legacy", "-w", "60"};
  for (const absl::string_view word : absl::StrSplit(arguments, ' ')) {
    argv.emplace_back(word);
  }
  return StatusOf(Run(argv), arguments);
}

absl::Status RestoreIptables(const std::string& text) {
  return StatusOf(Run({"iptables-legacy-restore", "-w", "60", "-c"}, text),
                  text);
}

absl::Status SendPackets(size_t count, uint16_t first_port, size_t ports) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const char payload[kPacketBytes - 28] = {};
  absl::Status status;
  for (size_t i = 0; i < count && status.ok(); ++i) {
    to.sin_port = htons(static_cast<uint16_t>(first_port + i % ports));
    if (sendto(fd, payload, sizeof(payload), 0,
               reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
      status = absl::ErrnoToStatus(errno, "sendto");
    }
  }
  close(fd);
  return status;
}

}  // namespace nfmeter::testing
