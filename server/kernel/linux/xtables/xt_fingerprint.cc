// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_fingerprint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "kernel/errno_status.h"
#include "kernel/linux/xtables/xt_ip_part.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// What differs between the families.
struct Ipv4 {
  using Entry = ipt_entry;
  using Info = ipt_getinfo;
  using Entries = ipt_get_entries;
  static constexpr int kDomain = AF_INET;
  static constexpr int kLevel = IPPROTO_IP;
  static constexpr int kGetInfo = IPT_SO_GET_INFO;
  static constexpr int kGetEntries = IPT_SO_GET_ENTRIES;
};
struct Ipv6 {
  using Entry = ip6t_entry;
  using Info = ip6t_getinfo;
  using Entries = ip6t_get_entries;
  static constexpr int kDomain = AF_INET6;
  static constexpr int kLevel = IPPROTO_IPV6;
  static constexpr int kGetInfo = IP6T_SO_GET_INFO;
  static constexpr int kGetEntries = IP6T_SO_GET_ENTRIES;
};

// Somebody else may commit between the question for the size and the next one.
constexpr int kAttempts = 3;

absl::string_view AsText(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What matches and targets begin with; `size` is of both together.
struct ExtensionHead {
  uint16_t size;
  char name[XT_EXTENSION_MAXNAMELEN];
};

// Whether the extensions of an entry, behind its fixed part, name an ipset: the
// match is called "set", and the target "SET". nullopt: they make no sense.
std::optional<bool> NamesSet(absl::Span<const uint8_t> extensions) {
  while (!extensions.empty()) {
    ExtensionHead head;
    if (extensions.size() < sizeof(head)) return std::nullopt;
    memcpy(&head, extensions.data(), sizeof(head));
    if (head.size < sizeof(head) || head.size > extensions.size()) {
      return std::nullopt;
    }
    const absl::string_view name(head.name,
                                 strnlen(head.name, sizeof(head.name)));
    if (name == "set" || name == "SET") return true;
    extensions.remove_prefix(head.size);
  }
  return false;
}

template <typename F>
std::optional<uint64_t> OfEntries(absl::Span<const uint8_t> entries) {
  using Entry = typename F::Entry;
  size_t hash = 0;
  while (!entries.empty()) {
    Entry entry;
    if (entries.size() < sizeof(entry)) return std::nullopt;
    memcpy(&entry, entries.data(), sizeof(entry));
    if (entry.next_offset < sizeof(entry) ||
        entry.next_offset > entries.size()) {
      return std::nullopt;
    }
    const absl::Span<const uint8_t> extensions =
        entries.subspan(sizeof(entry), entry.next_offset - sizeof(entry));
    const std::optional<bool> names_set = NamesSet(extensions);
    if (names_set.value_or(true)) return std::nullopt;
    entry.counters = {};
    hash = absl::HashOf(
        hash, AsText({reinterpret_cast<const uint8_t*>(&entry), sizeof(entry)}),
        AsText(extensions));
    entries.remove_prefix(entry.next_offset);
  }
  return hash;
}

template <typename F>
absl::StatusOr<std::optional<uint64_t>> OfTable(Family family, Table table) {
  const auto failed = [&] {
    return ErrnoStatus(Operation::kRuleRead, errno,
                       TableSubject(family, table));
  };
  // Any socket of the family does; a raw one would need CAP_NET_RAW.
  const UniqueFd fd(socket(F::kDomain, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failed();
  for (int i = 0; i < kAttempts; ++i) {
    typename F::Info info = {};
    TableName(table).copy(info.name, sizeof(info.name) - 1);
    socklen_t size = sizeof(info);
    if (getsockopt(fd.get(), F::kLevel, F::kGetInfo, &info, &size) != 0) {
      return failed();
    }
    size = sizeof(typename F::Entries) + info.size;
    // Zeros, as the kernel does not write behind the ends of names; from
    // calloc(), which gets large blocks as zeros.
    const std::unique_ptr<uint8_t, decltype(&free)> buffer(
        static_cast<uint8_t*>(calloc(1, size)), &free);
    if (buffer == nullptr) {
      errno = ENOMEM;
      return failed();
    }
    auto* const head = reinterpret_cast<typename F::Entries*>(buffer.get());
    TableName(table).copy(head->name, sizeof(head->name) - 1);
    head->size = info.size;
    if (getsockopt(fd.get(), F::kLevel, F::kGetEntries, head, &size) == 0) {
      return OfEntries<F>({buffer.get() + sizeof(*head), info.size});
    }
    if (errno != EAGAIN) return failed();
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> FingerprintOfEntries(
    Family family, absl::Span<const uint8_t> entries) {
  return family == Family::kIpv4 ? OfEntries<Ipv4>(entries)
                                 : OfEntries<Ipv6>(entries);
}

absl::StatusOr<std::optional<uint64_t>> FingerprintOf(Family family,
                                                      Table table) {
  return family == Family::kIpv4 ? OfTable<Ipv4>(family, table)
                                 : OfTable<Ipv6>(family, table);
}

}  // namespace nfmeter::kernel
