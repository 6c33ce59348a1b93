// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_request.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/ip_prefix.h"
#include "kernel/rule_law.h"
#include "service/flow/flow_words.h"
#include "service/gate/field_errors.h"
#include "service/gate/protocol_words.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

using accounting::FlowEndFilter;
using accounting::FlowFilter;
using accounting::FlowPrefixLengths;
using kernel::Family;

constexpr uint32_t kMaxPort = 65'535;
constexpr int kMostRanges = 64;
constexpr size_t kDefaultLimit = 100;
constexpr absl::Duration kDefaultInterval = absl::Seconds(10);

constexpr uint8_t kTcp = 6;
// The protocols whose ports connection tracking knows.
constexpr uint8_t kWithPorts[] = {kTcp, 17, 33, 132, 136};

// Reads one FlowFilter.
class FlowFilterReading {
 public:
  FlowFilterReading(const v1::FlowFilter& proto,
                    const security::FlowRights& rights, FieldErrors& errors)
      : proto_(proto), rights_(rights), errors_(errors) {}

  FlowFilter Read() {
    ReadVersion();
    ReadProtocol();
    filter_.source = ReadEnd("source", proto_.source(), "source_ports",
                             proto_.source_ports());
    filter_.destination =
        ReadEnd("destination", proto_.destination(), "destination_ports",
                proto_.destination_ports());
    // Two entries: one end may have the address and the other the port.
    FlowEndFilter either =
        ReadEnd("address", proto_.address(), "ports", proto_.ports());
    if (either.prefix.has_value()) {
      filter_.either.push_back({.prefix = either.prefix});
    }
    if (!either.ports.empty()) {
      filter_.either.push_back({.ports = std::move(either.ports)});
    }
    ReadMark();
    ReadZone();
    ReadStatus();
    ReadTcpStates();
    return std::move(filter_);
  }

  // The field that asks for a longer prefix than the caller may see, or empty.
  const std::string& too_long() const { return too_long_; }

 private:
  static std::string Field(absl::string_view name) {
    return absl::StrCat("filter.", name);
  }
  void Wrong(absl::string_view field, std::string what) {
    errors_.Add(Field(field), std::move(what));
  }

  void ReadVersion() {
    switch (proto_.ip_version()) {
      case 0:
        break;
      case 4:
        filter_.family = Family::kIpv4;
        break;
      case 6:
        filter_.family = Family::kIpv6;
        break;
      default:
        Wrong("ip_version", absl::StrCat("is ", proto_.ip_version(),
                                         "; write 4 or 6, or nothing"));
        return;
    }
    family_from_ = "ip_version";
  }

  void ReadProtocol() {
    if (proto_.protocol().empty()) return;
    filter_.protocol = ProtocolNumber(proto_.protocol());
    if (!filter_.protocol.has_value()) {
      Wrong("protocol", absl::StrCat(Quoted(proto_.protocol()),
                                     " is no protocol; write tcp, udp, icmp or "
                                     "a number from 1 to 255"));
      return;
    }
    if (filter_.protocol == kernel::kProtocolIcmp) {
      NoteFamily("protocol", Family::kIpv4);
    }
    if (filter_.protocol == kernel::kProtocolIcmpv6) {
      NoteFamily("protocol", Family::kIpv6);
    }
  }

  // `field` is of one family. All such fields must be of the same.
  void NoteFamily(absl::string_view field, Family family) {
    if (!filter_.family.has_value()) {
      filter_.family = family;
      family_from_ = std::string(field);
    } else if (*filter_.family != family) {
      Wrong(field, absl::StrCat("is ", kernel::FamilyName(family), ", and ",
                                Field(family_from_), " is ",
                                kernel::FamilyName(*filter_.family),
                                ": no flow is both"));
    }
  }

  FlowEndFilter ReadEnd(
      absl::string_view prefix_field, const std::string& prefix,
      absl::string_view ports_field,
      const google::protobuf::RepeatedPtrField<v1::FlowPortRange>& ports) {
    FlowEndFilter end;
    if (!prefix.empty()) end.prefix = ReadPrefix(prefix_field, prefix);
    end.ports = ReadPorts(ports_field, ports);
    return end;
  }

  std::optional<kernel::IpPrefix> ReadPrefix(absl::string_view field,
                                             const std::string& text) {
    const absl::StatusOr<kernel::IpPrefix> prefix = kernel::ParseIpPrefix(text);
    if (!prefix.ok()) {
      Wrong(field, std::string(prefix.status().message()));
      return std::nullopt;
    }
    const std::optional<size_t> bits = kernel::PrefixLength(*prefix);
    if (!bits.has_value()) {
      Wrong(field, "has a mask with gaps; write a prefix such as 10.0.0.0/8");
      return std::nullopt;
    }
    NoteFamily(field, prefix->family);
    const size_t most =
        prefix->family == Family::kIpv4 ? rights_.ipv4_bits : rights_.ipv6_bits;
    const bool sees_all = rights_.access >= security::FlowAccess::kFull;
    if (!sees_all && *bits > most) too_long_ = Field(field);
    return *prefix;
  }

  std::vector<kernel::PortRange> ReadPorts(
      absl::string_view field,
      const google::protobuf::RepeatedPtrField<v1::FlowPortRange>& ports) {
    std::vector<kernel::PortRange> ranges;
    if (ports.empty()) return ranges;
    if (ports.size() > kMostRanges) {
      Wrong(field, absl::StrCat("has ", ports.size(), " ranges; at most ",
                                kMostRanges));
      return ranges;
    }
    if (filter_.protocol.has_value() &&
        std::find(std::begin(kWithPorts), std::end(kWithPorts),
                  *filter_.protocol) == std::end(kWithPorts)) {
      Wrong(field,
            absl::StrCat("flows of protocol ", ProtocolText(*filter_.protocol),
                         " have no ports"));
    }
    for (int i = 0; i < ports.size(); ++i) {
      const uint32_t first = ports[i].first();
      const uint32_t last = ports[i].last() == 0 ? first : ports[i].last();
      if (first > last || last > kMaxPort) {
        errors_.Add(Indexed(Field(field), i),
                    absl::StrCat("must be a range within 0 to ", kMaxPort,
                                 ", the lower port first"));
        continue;
      }
      ranges.push_back(
          {static_cast<uint16_t>(first), static_cast<uint16_t>(last)});
    }
    return ranges;
  }

  void ReadMark() {
    if (!proto_.has_mark()) return;
    const kernel::FlowBits mark = {
        .value = proto_.mark().value(),
        .mask = proto_.mark().has_mask() ? proto_.mark().mask() : 0xffffffff};
    if ((mark.value & ~mark.mask) != 0) {
      Wrong("mark",
            "has bits of the value outside the mask, so no flow can "
            "have it");
    }
    filter_.mark = mark;
  }

  void ReadZone() {
    if (!proto_.has_zone()) return;
    if (proto_.zone() > 65'535) {
      Wrong("zone", "must be from 0 to 65535");
      return;
    }
    filter_.zone = static_cast<uint16_t>(proto_.zone());
  }

  uint32_t ReadBits(absl::string_view field,
                    const google::protobuf::RepeatedField<int>& list) {
    uint32_t bits = 0;
    for (int i = 0; i < list.size(); ++i) {
      const uint32_t bit = StatusBit(list[i]);
      if (bit == 0) {
        errors_.Add(
            Indexed(Field(field), i),
            absl::StrCat("is ", list[i], ", which this server does not know"));
      }
      bits |= bit;
    }
    return bits;
  }

  void ReadStatus() {
    const uint32_t with = ReadBits("status", proto_.status());
    const uint32_t without =
        ReadBits("without_status", proto_.without_status());
    if ((with & without) != 0) {
      Wrong("without_status",
            "names a status that filter.status wants, so no flow can match");
    }
    filter_.status = {.value = with, .mask = with | without};
  }

  void ReadTcpStates() {
    if (proto_.tcp_states().empty()) return;
    if (filter_.protocol.has_value() && *filter_.protocol != kTcp) {
      Wrong("tcp_states",
            absl::StrCat("flows of protocol ", ProtocolText(*filter_.protocol),
                         " have no such state"));
    }
    for (int i = 0; i < proto_.tcp_states().size(); ++i) {
      const int state = proto_.tcp_states(i);
      if (state <= 0 || static_cast<size_t>(state) >= kernel::kTcpStates) {
        errors_.Add(
            Indexed(Field("tcp_states"), i),
            absl::StrCat("is ", state, ", which this server does not know"));
        continue;
      }
      filter_.tcp_states.push_back(static_cast<kernel::TcpState>(state));
    }
  }

  const v1::FlowFilter& proto_;
  const security::FlowRights& rights_;
  FieldErrors& errors_;
  FlowFilter filter_;
  std::string family_from_;
  std::string too_long_;
};

absl::Status NotPermitted(const std::string& field,
                          const security::FlowRights& rights) {
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat(field,
                   " asks for single hosts or small networks, and the "
                   "caller may see flows by prefixes of /",
                   rights.ipv4_bits, " (IPv4) and /", rights.ipv6_bits,
                   " (IPv6) only; use a shorter prefix, or have the policy "
                   "say 'flows: full'"),
      {.reason = "FLOW_PREFIX_NOT_PERMITTED", .metadata = {{"field", field}}});
}

absl::StatusOr<FlowFilter> ReadFilter(const v1::FlowFilter& proto,
                                      const security::FlowRights& rights,
                                      FieldErrors& errors) {
  FlowFilterReading reading(proto, rights, errors);
  FlowFilter filter = reading.Read();
  if (!reading.too_long().empty()) {
    return NotPermitted(reading.too_long(), rights);
  }
  return filter;
}

// Reads one FlowGrouping, and shortens it to what the caller may see.
class FlowGroupingReading {
 public:
  FlowGroupingReading(const security::FlowRights& rights, FieldErrors& errors)
      : errors_(errors) {
    if (rights.access < security::FlowAccess::kFull) {
      most_ = {.ipv4 = rights.ipv4_bits, .ipv6 = rights.ipv6_bits};
    }
  }

  accounting::FlowGrouping Read(const v1::FlowGrouping& proto) {
    accounting::FlowGrouping grouping = {
        .source_port = proto.source_port(),
        .destination_port = proto.destination_port(),
        .protocol = proto.protocol(),
        .mark = proto.mark(),
        .zone = proto.zone(),
        .tcp_state = proto.tcp_state()};
    if (proto.has_source()) {
      grouping.source = ReadLengths(proto.source(), "grouping.source");
    }
    if (proto.has_destination()) {
      grouping.destination =
          ReadLengths(proto.destination(), "grouping.destination");
    }
    return grouping;
  }

  bool shortened() const { return shortened_; }

 private:
  FlowPrefixLengths ReadLengths(const v1::FlowPrefixLengths& proto,
                                const std::string& field) {
    FlowPrefixLengths lengths = most_;
    if (proto.has_ipv4()) {
      lengths.ipv4 = ReadLength(proto.ipv4(), 32, most_.ipv4,
                                absl::StrCat(field, ".ipv4"));
    }
    if (proto.has_ipv6()) {
      lengths.ipv6 = ReadLength(proto.ipv6(), 128, most_.ipv6,
                                absl::StrCat(field, ".ipv6"));
    }
    shortened_ |= (!proto.has_ipv4() && most_.ipv4 < 32) ||
                  (!proto.has_ipv6() && most_.ipv6 < 128);
    return lengths;
  }

  uint8_t ReadLength(uint32_t length, uint32_t longest, uint8_t most,
                     const std::string& field) {
    if (length > longest) {
      errors_.Add(field,
                  absl::StrCat("is ", length, "; a prefix length is from 0 to ",
                               longest));
      return most;
    }
    shortened_ |= length > most;
    return static_cast<uint8_t>(std::min<uint32_t>(length, most));
  }

  FieldErrors& errors_;
  FlowPrefixLengths most_;
  bool shortened_ = false;
};

accounting::FlowOrder ReadOrder(v1::FlowOrder order, FieldErrors& errors) {
  switch (order) {
    case v1::FLOW_ORDER_UNSPECIFIED:
    case v1::FLOW_ORDER_BYTES:
      return accounting::FlowOrder::kBytes;
    case v1::FLOW_ORDER_PACKETS:
      return accounting::FlowOrder::kPackets;
    case v1::FLOW_ORDER_FLOWS:
      return accounting::FlowOrder::kFlows;
    default:
      errors.Add("order", absl::StrCat("is ", static_cast<int>(order),
                                       ", which this server does not know"));
      return accounting::FlowOrder::kBytes;
  }
}

// What requests for sums have in common.
template <typename Request>
absl::StatusOr<accounting::FlowQuery> ReadQuery(
    const Request& request, const security::FlowRights& rights,
    const Limits& limits, bool& shortened, FieldErrors& errors) {
  accounting::FlowQuery query;
  NFM_ASSIGN_OR_RETURN(query.filter,
                       ReadFilter(request.filter(), rights, errors));
  FlowGroupingReading grouping(rights, errors);
  query.grouping = grouping.Read(request.grouping());
  shortened = grouping.shortened();
  query.order = ReadOrder(request.order(), errors);
  query.limit =
      std::min<size_t>(request.limit() == 0 ? kDefaultLimit : request.limit(),
                       limits.max_page_size);
  return query;
}

}  // namespace

absl::StatusOr<FlowListRequest> ReadFlowList(
    const v1::ListFlowsRequest& request, const security::FlowRights& rights) {
  FieldErrors errors;
  FlowListRequest read;
  NFM_ASSIGN_OR_RETURN(read.filter,
                       ReadFilter(request.filter(), rights, errors));
  read.max_staleness = ReadMaxStaleness(request.max_staleness(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return read;
}

absl::StatusOr<FlowSummaryRequest> ReadFlowSummary(
    const v1::SummarizeFlowsRequest& request,
    const security::FlowRights& rights, const Limits& limits) {
  FieldErrors errors;
  FlowSummaryRequest read;
  NFM_ASSIGN_OR_RETURN(
      read.query, ReadQuery(request, rights, limits, read.shortened, errors));
  read.max_staleness = ReadMaxStaleness(request.max_staleness(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return read;
}

absl::StatusOr<FlowWatchRequest> ReadFlowWatch(
    const v1::WatchFlowsRequest& request, const security::FlowRights& rights,
    const Limits& limits) {
  FieldErrors errors;
  FlowWatchRequest read;
  NFM_ASSIGN_OR_RETURN(
      read.query, ReadQuery(request, rights, limits, read.shortened, errors));
  read.interval = ReadDuration(request.interval(), "interval",
                               absl::FormatDuration(kDefaultInterval), errors);
  if (read.interval == absl::ZeroDuration()) read.interval = kDefaultInterval;
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return read;
}

}  // namespace nfmeter::service
