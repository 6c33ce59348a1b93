// SPDX-License-Identifier: GPL-3.0-or-later
// set: membership in an ipset.
#include <linux/netfilter/xt_set.h>

#include <array>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

void PrintCounter(const char* name, const ip_set_counter_match& counter,
                  std::string& text) {
  switch (counter.op) {
    case IPSET_COUNTER_EQ:
      absl::StrAppend(&text, " --", name, "-eq ", counter.value);
      break;
    case IPSET_COUNTER_NE:
      absl::StrAppend(&text, " ! --", name, "-eq ", counter.value);
      break;
    case IPSET_COUNTER_LT:
      absl::StrAppend(&text, " --", name, "-lt ", counter.value);
      break;
    case IPSET_COUNTER_GT:
      absl::StrAppend(&text, " --", name, "-gt ", counter.value);
      break;
  }
}

void PrintSet(const MatchContext& context, const xt_set_info_match_v4& set,
              std::string& text) {
  AppendNegation(set.match_set.flags & IPSET_INV_MATCH, text);
  // A set that is gone or can't be asked for keeps its number: the rest of the
  // table must still be readable.
  const absl::StatusOr<std::string> name =
      context.sets.NameOf(set.match_set.index);
  absl::StrAppend(&text, " --match-set ",
                  name.ok() ? *name : absl::StrCat("#", set.match_set.index));
  absl::string_view separator = " ";
  for (int i = 1; i <= set.match_set.dim && i <= IPSET_DIM_MAX; ++i) {
    absl::StrAppend(&text, separator,
                    (set.match_set.flags & (1 << i)) != 0 ? "src" : "dst");
    separator = ",";
  }
  if ((set.flags & IPSET_FLAG_RETURN_NOMATCH) != 0) {
    text.append(" --return-nomatch");
  }
  if ((set.flags & IPSET_FLAG_SKIP_COUNTER_UPDATE) != 0) {
    text.append(" ! --update-counters");
  }
  if ((set.flags & IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE) != 0) {
    text.append(" ! --update-subcounters");
  }
  PrintCounter("packets", set.packets, text);
  PrintCounter("bytes", set.bytes, text);
}

bool DecodeSet(const MatchContext& context, const xt_set_info_match_v4& set,
               DecodedEntry& out) {
  if (set.flags != 0 || set.packets.op != IPSET_COUNTER_NONE ||
      set.bytes.op != IPSET_COUNTER_NONE || set.match_set.dim == 0 ||
      set.match_set.dim > IPSET_DIM_MAX || out.match.ip_set.has_value()) {
    return false;
  }
  absl::StatusOr<std::string> name = context.sets.NameOf(set.match_set.index);
  if (!name.ok()) return false;
  IpSet ip_set = {.name = *std::move(name)};
  for (int i = 1; i <= set.match_set.dim; ++i) {
    ip_set.directions.push_back((set.match_set.flags & (1 << i)) != 0
                                    ? IpSetDirection::kSource
                                    : IpSetDirection::kDestination);
  }
  return SetOnce(out.match.ip_set, std::move(ip_set),
                 set.match_set.flags & IPSET_INV_MATCH);
}

}  // namespace

absl::Span<const ExtensionKind> SetMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintSet, DecodeSet>("set", 4),
  };
  return kKinds;
}

absl::Status AppendSetMatch(const MatchContext& context, const RuleMatch& match,
                            MatchWriter& out) {
  if (!match.ip_set.has_value()) return absl::OkStatus();
  const IpSet& ip_set = match.ip_set->value;
  if (ip_set.directions.empty() || ip_set.directions.size() > IPSET_DIM_MAX) {
    return NotExpressible(
        absl::StrCat("a set has 1 to ", IPSET_DIM_MAX, " directions"));
  }
  xt_set_info_match_v4 set{};
  NFM_ASSIGN_OR_RETURN(set.match_set.index, context.sets.IndexOf(ip_set.name));
  set.match_set.dim = static_cast<uint8_t>(ip_set.directions.size());
  if (match.ip_set->negated) set.match_set.flags |= IPSET_INV_MATCH;
  for (size_t i = 0; i < ip_set.directions.size(); ++i) {
    if (ip_set.directions[i] == IpSetDirection::kSource) {
      set.match_set.flags |= 1 << (i + 1);
    }
  }
  out.Append("set", 4, set);
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
