// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/iptables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
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

std::vector<std::string> Saved(bool with_counters) {
  std::vector<std::string> argv = {"iptables-legacy-save", "-t", "filter"};
  if (with_counters) argv.push_back("-c");
  std::vector<std::string> rules;
  const std::string out = Run(argv).out;
  for (const absl::string_view line : absl::StrSplit(out, '\n')) {
    if (absl::StrContains(line, "-A ")) rules.emplace_back(line);
  }
  return rules;
}

// By its comment, or by the chain of a plan that it is in or jumps to.
bool IsManaged(absl::string_view rule) {
  return absl::StrContains(rule, "nfmeter") || absl::StrContains(rule, "NFM-");
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

std::vector<std::string> ForeignRules(bool with_counters) {
  std::vector<std::string> rules;
  for (std::string& rule : Saved(with_counters)) {
    if (!IsManaged(rule)) rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<std::string> ManagedRules() {
  std::vector<std::string> rules;
  for (std::string& rule : Saved(/*with_counters=*/false)) {
    if (IsManaged(rule)) rules.push_back(std::move(rule));
  }
  return rules;
}

uint64_t RulePackets(absl::string_view text) {
  for (const std::string& rule : Saved(/*with_counters=*/true)) {
    if (!absl::StrContains(rule, text)) continue;
    uint64_t packets = UINT64_MAX;
    const std::vector<std::string> parts =
        absl::StrSplit(rule, absl::ByAnyChar("[:"));
    (void)absl::SimpleAtoi(parts[1], &packets);
    return packets;
  }
  return UINT64_MAX;
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
