// SPDX-License-Identifier: GPL-3.0-or-later
// Real tables beside the product's code: rules made and printed by
// iptables-legacy, entries read and appended with libiptc.
#ifndef NFMETER_TESTS_SYSTEM_XT_TABLES_H_
#define NFMETER_TESTS_SYSTEM_XT_TABLES_H_

#include <errno.h>
#include <libiptc/libiptc.h>

// This header forgets that it is C's.
extern "C" {
#include <libiptc/libip6tc.h>
}

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernel/rule_types.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

using kernel::Family;

// libiptc's functions for a family, under one name.
template <Family>
struct Iptc;
template <>
struct Iptc<Family::kIpv4> {
  using Entry = ipt_entry;
  static constexpr auto Init = iptc_init;
  static constexpr auto Free = iptc_free;
  static constexpr auto First = iptc_first_rule;
  static constexpr auto Next = iptc_next_rule;
  static constexpr auto Target = iptc_get_target;
  static constexpr auto Create = iptc_create_chain;
  static constexpr auto Append = iptc_append_entry;
  static constexpr auto Commit = iptc_commit;
  static constexpr auto Error = iptc_strerror;
};
template <>
struct Iptc<Family::kIpv6> {
  using Entry = ip6t_entry;
  static constexpr auto Init = ip6tc_init;
  static constexpr auto Free = ip6tc_free;
  static constexpr auto First = ip6tc_first_rule;
  static constexpr auto Next = ip6tc_next_rule;
  static constexpr auto Target = ip6tc_get_target;
  static constexpr auto Create = ip6tc_create_chain;
  static constexpr auto Append = ip6tc_append_entry;
  static constexpr auto Commit = ip6tc_commit;
  static constexpr auto Error = ip6tc_strerror;
};

// An entry as libiptc hands it out.
struct RawRule {
  std::vector<uint8_t> bytes;
  std::string target;
};

template <Family family>
std::vector<RawRule> ReadChainOf(const std::string& table,
                                 const std::string& chain) {
  using Tc = Iptc<family>;
  std::vector<RawRule> rules;
  xtc_handle* handle = Tc::Init(table.c_str());
  if (handle == nullptr) return rules;
  for (const auto* entry = Tc::First(chain.c_str(), handle); entry != nullptr;
       entry = Tc::Next(entry, handle)) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(entry);
    const char* target = Tc::Target(entry, handle);
    rules.push_back(
        {{bytes, bytes + entry->next_offset}, target == nullptr ? "" : target});
  }
  Tc::Free(handle);
  return rules;
}

inline std::vector<RawRule> ReadChain(Family family, const std::string& table,
                                      const std::string& chain) {
  return family == Family::kIpv4 ? ReadChainOf<Family::kIpv4>(table, chain)
                                 : ReadChainOf<Family::kIpv6>(table, chain);
}

// The matches of an entry, one line each: name, revision and the bytes of its
// struct. What follows the NUL of a name is left over from libiptc's buffer:
// the kernel writes only as far as the NUL.
inline std::vector<std::string> MatchLines(Family family,
                                           const std::vector<uint8_t>& entry) {
  const bool v4 = family == Family::kIpv4;
  size_t offset = v4 ? sizeof(ipt_entry) : sizeof(ip6t_entry);
  const size_t end =
      v4 ? reinterpret_cast<const ipt_entry*>(entry.data())->target_offset
         : reinterpret_cast<const ip6t_entry*>(entry.data())->target_offset;
  std::vector<std::string> lines;
  while (offset < end) {
    const auto* match =
        reinterpret_cast<const xt_entry_match*>(entry.data() + offset);
    const std::string info(reinterpret_cast<const char*>(match->data),
                           match->u.match_size - sizeof(xt_entry_match));
    lines.push_back(absl::StrCat(match->u.user.name, " rev ",
                                 match->u.user.revision, ": ",
                                 absl::BytesToHexString(info)));
    offset += match->u.match_size;
  }
  return lines;
}

// Addresses, interfaces and protocol.
inline std::vector<uint8_t> IpBytes(Family family,
                                    const std::vector<uint8_t>& entry) {
  return {entry.begin(),
          entry.begin() +
              (family == Family::kIpv4 ? sizeof(ipt_ip) : sizeof(ip6t_ip6))};
}

template <Family family>
absl::Status AppendEntriesOf(const std::string& table, const std::string& chain,
                             const std::vector<std::vector<uint8_t>>& entries) {
  using Tc = Iptc<family>;
  xtc_handle* handle = Tc::Init(table.c_str());
  if (handle == nullptr) return absl::InternalError(Tc::Error(errno));
  absl::Status status;
  for (const std::vector<uint8_t>& bytes : entries) {
    const auto* entry =
        reinterpret_cast<const typename Tc::Entry*>(bytes.data());
    if (status.ok() && Tc::Append(chain.c_str(), entry, handle) == 0) {
      status = absl::InternalError(Tc::Error(errno));
    }
  }
  if (status.ok() && Tc::Commit(handle) == 0) {
    status = absl::InternalError(Tc::Error(errno));
  }
  Tc::Free(handle);
  return status;
}

// Appends to a chain, in one commit.
inline absl::Status AppendEntries(
    Family family, const std::string& table, const std::string& chain,
    const std::vector<std::vector<uint8_t>>& entries) {
  return family == Family::kIpv4
             ? AppendEntriesOf<Family::kIpv4>(table, chain, entries)
             : AppendEntriesOf<Family::kIpv6>(table, chain, entries);
}

inline std::string IptablesProgram(Family family) {
  return family == Family::kIpv4 ? "iptables-legacy" : "ip6tables-legacy";
}

// Runs iptables-legacy or ip6tables-legacy.
inline absl::Status Iptables(Family family, std::vector<std::string> args) {
  args.insert(args.begin(), IptablesProgram(family));
  const RunResult result = Run(args);
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(absl::StrJoin(args, " "), ": ", result.err));
}

// What follows "-A CHAIN" in the lines of iptables-save for a chain.
inline std::vector<std::string> SavedRules(Family family,
                                           const std::string& table,
                                           const std::string& chain) {
  const RunResult result =
      Run({absl::StrCat(IptablesProgram(family), "-save"), "-t", table});
  const std::string prefix = absl::StrCat("-A ", chain);
  std::vector<std::string> rules;
  for (const absl::string_view line : absl::StrSplit(result.out, '\n')) {
    if (!absl::StartsWith(line, prefix)) continue;
    const absl::string_view rest = line.substr(prefix.size());
    if (rest.empty() || rest[0] == ' ') rules.emplace_back(rest);
  }
  return rules;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_XT_TABLES_H_
