// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_owned_moves.h"

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "kernel/acct_names.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {
namespace {

using Element = NftBatch::MapElement;
using ElementSpan = absl::Span<const Element>;

bool IsStandIn(const Element& element) {
  std::string scratch;
  return IsStandInName(CounterNameOf(element.object, scratch));
}

// In which place each object is.
class Places {
 public:
  void Add(absl::string_view place, ElementSpan elements) {
    for (const Element& each : elements) {
      const auto [at, added] = places_.emplace(each.object, place);
      if (!added && at->second != place) at->second = kMany;
    }
  }
  bool AnyElsewhere(absl::string_view place, ElementSpan elements) const {
    return absl::c_any_of(elements, [&](const Element& each) {
      const auto found = places_.find(each.object);
      return found != places_.end() && found->second != place;
    });
  }

 private:
  static constexpr absl::string_view kMany = "\n";  // no map is called so

  absl::flat_hash_map<absl::string_view, absl::string_view> places_;
};

}  // namespace

absl::flat_hash_set<std::string> NftMovedMaps(
    absl::Span<const NftPlaceChange> changes) {
  absl::flat_hash_set<std::string> moved;
  Places lost;
  Places got;
  // What counts into a stand-in before or after counts into its counter
  // otherwise: it goes from one to the other, wherever they are.
  bool stand_ins = false;
  for (const NftPlaceChange& each : changes) {
    lost.Add(each.map, each.lost);
    got.Add(each.map, each.got);
    stand_ins = stand_ins || absl::c_any_of(each.lost, IsStandIn) ||
                absl::c_any_of(each.got, IsStandIn);
  }
  for (const NftPlaceChange& each : changes) {
    if (each.in_place && (stand_ins || got.AnyElsewhere(each.map, each.lost) ||
                          lost.AnyElsewhere(each.map, each.got))) {
      moved.emplace(each.map);
    }
  }
  if (moved.empty()) return moved;
  // Sets say which keys of a map do not count.
  for (const NftPlaceChange& each : changes) {
    if (each.in_place && each.is_set) moved.emplace(each.map);
  }
  return moved;
}

}  // namespace nfmeter::kernel
