// SPDX-License-Identifier: GPL-3.0-or-later
// multiport: several ranges of ports.
#include <linux/netfilter/xt_multiport.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"
#include "kernel/rule_law.h"

namespace nfmeter::kernel {
namespace {

static_assert(kMultiportPlaces == XT_MULTI_PORTS);

// The ranges, or nullopt when the places are not used as the kernel reads them.
std::optional<Ports> RangesOf(const xt_multiport_v1& multiport) {
  if (multiport.count == 0 || multiport.count > XT_MULTI_PORTS) {
    return std::nullopt;
  }
  Ports ranges;
  for (int i = 0; i < multiport.count; ++i) {
    PortRange range = {multiport.ports[i], multiport.ports[i]};
    if (multiport.pflags[i] != 0) {
      if (++i == multiport.count) return std::nullopt;
      range.last = multiport.ports[i];
    }
    ranges.push_back(range);
  }
  return ranges;
}

void PrintMultiport(const MatchContext&, const xt_multiport_v1& multiport,
                    std::string& text) {
  AppendNegation(multiport.invert != 0, text);
  text.append(multiport.flags == XT_MULTIPORT_SOURCE        ? " --sports "
              : multiport.flags == XT_MULTIPORT_DESTINATION ? " --dports "
                                                            : " --ports ");
  const std::optional<Ports> ranges = RangesOf(multiport);
  if (!ranges.has_value()) {
    text.append("[malformed]");
    return;
  }
  absl::string_view separator = "";
  for (size_t i = 0; i < ranges->size(); ++i) {
    absl::StrAppend(&text, separator);
    AppendRange((*ranges)[i].first, (*ranges)[i].last, text);
    separator = ",";
  }
}

bool DecodeMultiport(const MatchContext&, const xt_multiport_v1& multiport,
                     DecodedEntry& out) {
  std::optional<Ports> ranges = RangesOf(multiport);
  if (!ranges.has_value()) return false;
  switch (multiport.flags) {
    case XT_MULTIPORT_SOURCE:
      return SetOnce(out.match.source_ports, *std::move(ranges),
                     multiport.invert != 0);
    case XT_MULTIPORT_DESTINATION:
      return SetOnce(out.match.destination_ports, *std::move(ranges),
                     multiport.invert != 0);
    default:
      return false;
  }
}

}  // namespace

absl::Span<const ExtensionKind> MultiportMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintMultiport, DecodeMultiport>("multiport", 1),
  };
  return kKinds;
}

void AppendMultiport(PortSide side, const Negatable<Ports>& ports,
                     MatchWriter& out) {
  xt_multiport_v1 multiport{};
  multiport.flags = side == PortSide::kSource ? XT_MULTIPORT_SOURCE
                                              : XT_MULTIPORT_DESTINATION;
  multiport.invert = ports.negated ? 1 : 0;
  for (const PortRange& range : ports.value) {
    multiport.pflags[multiport.count] = range.first != range.last ? 1 : 0;
    multiport.ports[multiport.count++] = range.first;
    if (range.first != range.last) {
      multiport.ports[multiport.count++] = range.last;
    }
  }
  out.Append("multiport", 1, multiport);
}

}  // namespace nfmeter::kernel
