// SPDX-License-Identifier: GPL-3.0-or-later
// CompareNftOwned().
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel/acct_names.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_owned.h"
#include "kernel/linux/nftables/nft_owned_moves.h"
#include "kernel/owned_diff.h"

namespace nfmeter::kernel {
namespace {

using Kind = OwnedDifference::Kind;
using Texts = std::vector<std::string>;
using Element = NftBatch::MapElement;
using Elements = std::vector<Element>;

// How many rules or elements of a changed chain or map are reported.
constexpr size_t kMaxTold = 20;

using Expressions = std::vector<NftExpression>;

// A condition begins with an expression that loads a register,
bool IsLoad(const NftExpression& each) {
  return std::holds_alternative<NftMeta>(each) ||
         std::holds_alternative<NftPayload>(each) ||
         std::holds_alternative<NftCt>(each) ||
         std::holds_alternative<NftSocket>(each) ||
         std::holds_alternative<NftFib>(each);
}

// goes on with some that change what was loaded, and ends with some that
// decide on it.
bool Decides(const NftExpression& each) {
  return std::holds_alternative<NftCompare>(each) ||
         std::holds_alternative<NftOutside>(each) ||
         std::holds_alternative<NftLookup>(each);
}
bool Changes(const NftExpression& each) {
  return std::holds_alternative<NftBitwise>(each) ||
         std::holds_alternative<NftToNetworkOrder>(each);
}

// Where a condition that begins with this stands in one order for all rules.
// nft does not print family or protocol where an address or a port implies
// them, and when it restores what it has printed it puts them right before that
// one.
int Rank(const NftExpression& load) {
  const auto* meta = std::get_if<NftMeta>(&load);
  if (meta == nullptr) return 2;
  if (meta->key == NFT_META_NFPROTO) return 0;
  return meta->key == NFT_META_L4PROTO ? 1 : 2;
}

// The same rule with family and protocol in front: conditions, of which all
// must hold, may change places; what acts may not, nor what follows it.
Expressions InOneOrder(const Expressions& rule) {
  std::vector<Expressions> conditions;
  auto at = rule.begin();
  while (at != rule.end() && IsLoad(*at)) {
    auto end = std::find_if_not(at + 1, rule.end(), Changes);
    if (end == rule.end() || !Decides(*end)) break;  // loaded for an action
    end = std::find_if_not(end, rule.end(), Decides);
    conditions.emplace_back(at, end);
    at = end;
  }
  std::stable_sort(conditions.begin(), conditions.end(),
                   [](const Expressions& a, const Expressions& b) {
                     return Rank(a.front()) < Rank(b.front());
                   });
  Expressions ordered;
  for (const Expressions& each : conditions) {
    ordered.insert(ordered.end(), each.begin(), each.end());
  }
  ordered.insert(ordered.end(), at, rule.end());
  return ordered;
}

// The same rule, whatever the kernel has called its anonymous sets.
bool IsSameRule(const NftRuleBytes& wanted, const NftRuleBytes& found) {
  if (wanted.userdata != found.userdata ||
      wanted.expressions.size() != found.expressions.size()) {
    return false;
  }
  const auto same = [](const NftExpression& wanted_one,
                       const NftExpression& found_one) {
    const auto* a = std::get_if<NftLookup>(&wanted_one);
    const auto* b = std::get_if<NftLookup>(&found_one);
    if (a != nullptr && b != nullptr && absl::StartsWith(b->set, "__set")) {
      return a->negated == b->negated;
    }
    return wanted_one == found_one;
  };
  const auto equal = [&same](const Expressions& a, const Expressions& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
  };
  return equal(wanted.expressions, found.expressions) ||
         equal(InOneOrder(wanted.expressions), InOneOrder(found.expressions));
}

bool HasSameRules(const NftWantedChain& wanted, const NftFoundChain& found) {
  return std::equal(wanted.rules.begin(), wanted.rules.end(),
                    found.rules.begin(), found.rules.end(),
                    [](const NftRule& a, const NftRuleBytes& b) {
                      return IsSameRule(a.bytes, b);
                    });
}

// What of `from` is not in `other`; both are sorted.
Elements Lacking(const Elements& from, const Elements& other) {
  Elements lacking;
  std::set_difference(
      from.begin(), from.end(), other.begin(), other.end(),
      std::back_inserter(lacking), [](const Element& a, const Element& b) {
        return std::tie(a.key, a.object) < std::tie(b.key, b.object);
      });
  return lacking;
}

// The element of this key; null: there is none.
template <typename AnyElement>
const AnyElement* FindKey(const std::vector<AnyElement>& by_key,
                          const std::string& key) {
  const auto found = std::lower_bound(
      by_key.begin(), by_key.end(), key,
      [](const AnyElement& a, const std::string& b) { return a.key < b; });
  return found != by_key.end() && found->key == key ? &*found : nullptr;
}

// Counters of `lacking`, those elements that are not found, that count neither
// into them nor into stand-ins for them.
OwnedDifference::Lost LostElements(const NftWantedMap& wanted,
                                   const Elements& lacking,
                                   const NftFoundMap& found) {
  OwnedDifference::Lost lost;
  if (wanted.counters == nullptr) return lost;
  for (const Element& each : lacking) {
    const std::string& counter =
        FindKey(wanted.counters->elements,
                NftKeyInRegister(each.key, wanted.map.host_order))
            ->counter;
    const Element* const there = FindKey(found.elements, each.key);
    const bool by_stand_in =
        there != nullptr &&
        there->object == NftObjectName(StandInName(counter));
    if (!by_stand_in) lost.counters.push_back(counter);
  }
  return lost;
}

Texts TextsOf(const Elements& elements) {
  Texts texts;
  for (size_t i = 0; i < std::min(elements.size(), kMaxTold); ++i) {
    texts.push_back(absl::StrCat("0x", absl::BytesToHexString(elements[i].key),
                                 " : \"", elements[i].object, "\""));
  }
  return texts;
}

Texts Cut(Texts texts) {
  if (texts.size() > kMaxTold) texts.resize(kMaxTold);
  return texts;
}

// Whether they are made alike. The keys' byte order is left out: only nft asks.
bool IsSameMap(const NftBatch::Map& wanted, const NftBatch::Map& found) {
  return wanted.key_type == found.key_type &&
         wanted.key_bytes == found.key_bytes && wanted.objects == found.objects;
}

class Comparison {
 public:
  Comparison(const NftWanted& wanted, const NftFound& found, NftBatch start)
      : wanted_(wanted), found_(found) {
    out_.batch = std::move(start);
    out_.subjects.resize(out_.batch.size());
  }

  NftOwnedChange Run() && {
    for (const NftFoundChain& each : found_.chains) {
      chains_[each.place.KernelName()] = &each;
    }
    for (const NftFoundMap& each : found_.maps) maps_[each.map.name] = &each;
    CompareChains();
    CompareMaps();
    // Rules that hold what is to go are deleted first; chains are made before
    // the rules that jump to them.
    for (const NftFoundChain* each : emptied_) Empty(*each);
    for (const auto& each : replaced_) out_.batch.DeleteChain(each.first);
    for (const NftFoundChain* each : unwanted_chains_) {
      out_.batch.DeleteChain(each->place.KernelName());
    }
    for (const NftFoundMap* each : misshapen_maps_) {
      out_.batch.DeleteMap(each->map.name);
    }
    Subject("");
    for (const NftWantedChain* each : made_) MakeChain(*each);
    for (const Changed& each : changed_) ChangeElements(each);
    out_.moved_maps = MovedMaps();
    out_.takes_rules = !emptied_.empty();
    return std::move(out_);
  }

 private:
  struct Changed {
    const NftBatch::Map* map;
    Elements deleted;
    Elements added;
  };

  // Of the messages since the last call.
  void Subject(const std::string& subject) {
    out_.subjects.resize(out_.batch.size(), subject);
  }

  void Tell(const NftOwnedPlace& place, Kind kind, Texts missing,
            Texts unwanted) {
    out_.differences.push_back({.family = place.family,
                                .table = place.table,
                                .kind = kind,
                                .chain = place.name,
                                .missing = std::move(missing),
                                .unwanted = std::move(unwanted)});
  }

  void CompareChains() {
    for (const NftWantedChain& wanted : wanted_.chains) {
      const std::string name = wanted.place.KernelName();
      const auto there = chains_.find(name);
      if (there == chains_.end()) {
        Tell(wanted.place, Kind::kMissing, {}, {});
        made_.push_back(&wanted);
        out_.filled.push_back(&wanted);
        continue;
      }
      const NftFoundChain& found = *there->second;
      chains_.erase(there);
      const bool hooked = wanted.hook == found.hook;
      if (hooked && HasSameRules(wanted, found)) continue;
      TellChanged(wanted, found, hooked);
      emptied_.push_back(&found);
      out_.filled.push_back(&wanted);
      if (hooked) continue;
      replaced_[name] = &wanted;
      made_.push_back(&wanted);
    }
    for (const NftFoundChain& each : found_.chains) {
      if (!chains_.contains(each.place.KernelName())) continue;
      Texts texts;
      for (const Rule& rule : each.read) texts.push_back(rule.text);
      Tell(each.place, Kind::kUnwanted, {}, Cut(std::move(texts)));
      emptied_.push_back(&each);
      unwanted_chains_.push_back(&each);
    }
  }

  void TellChanged(const NftWantedChain& wanted, const NftFoundChain& found,
                   bool hooked) {
    Texts missing;
    Texts unwanted;
    if (!hooked) missing.push_back("its hook or priority");
    // Each rule that is found is matched with one wanted rule at most.
    std::vector<bool> seen(found.rules.size());
    for (size_t i = 0; i < wanted.rules.size(); ++i) {
      size_t j = 0;
      while (j < seen.size() &&
             (seen[j] || !IsSameRule(wanted.rules[i].bytes, found.rules[j]))) {
        ++j;
      }
      if (j < seen.size()) {
        seen[j] = true;
      } else {
        missing.push_back(wanted.texts[i]);
      }
    }
    for (size_t j = 0; j < seen.size(); ++j) {
      if (!seen[j]) unwanted.push_back(found.read[j].text);
    }
    Tell(wanted.place, Kind::kChanged, Cut(std::move(missing)),
         Cut(std::move(unwanted)));
    if (!hooked) return;
    out_.differences.back().lost = LostOf(
        *wanted.chain, found.rules.size(),
        [&](size_t i, size_t j) {
          return IsSameRule(wanted.rules[i].bytes, found.rules[j]) ||
                 DoesAs(found.read[j], wanted.chain->rules[i]);
        },
        [&](size_t j) { return IsPassed(found.read[j]); });
  }

  void CompareMaps() {
    for (const NftWantedMap& wanted : wanted_.maps) {
      const auto there = maps_.find(wanted.map.name);
      if (there == maps_.end()) {
        Tell(wanted.place, Kind::kMissing, {}, {});
        out_.new_maps.push_back(&wanted);
        continue;
      }
      const NftFoundMap& found = *there->second;
      maps_.erase(there);
      if (!IsSameMap(wanted.map, found.map)) {
        // Somebody has made another map under this name.
        Tell(wanted.place, Kind::kChanged, {"its key"}, {});
        misshapen_maps_.push_back(&found);
        out_.new_maps.push_back(&wanted);
        continue;
      }
      Changed changed = {&wanted.map, Lacking(found.elements, wanted.elements),
                         Lacking(wanted.elements, found.elements)};
      if (changed.deleted.empty() && changed.added.empty()) continue;
      Tell(wanted.place, Kind::kChanged, TextsOf(changed.added),
           TextsOf(changed.deleted));
      out_.differences.back().lost = LostElements(wanted, changed.added, found);
      out_.changed_maps.insert(changed.map->name);
      changed_.push_back(std::move(changed));
    }
    for (const NftFoundMap& each : found_.maps) {
      if (!maps_.contains(each.map.name)) continue;
      Tell(each.place, Kind::kUnwanted, {}, TextsOf(each.elements));
      unwanted_maps_.push_back(&each);
      out_.old_maps.push_back(each.map.name);
    }
  }

  void Empty(const NftFoundChain& chain) {
    const std::string name = chain.place.KernelName();
    for (const uint64_t handle : chain.handles) {
      out_.batch.DeleteRule(name, handle);
    }
  }

  void MakeChain(const NftWantedChain& chain) {
    const std::string name = chain.place.KernelName();
    if (chain.hook.has_value()) {
      out_.batch.AddChain(name, *chain.hook);
    } else {
      out_.batch.AddChain(name);
    }
    Subject(chain.place.name);
  }

  void ChangeElements(const Changed& each) {
    const std::string& map = each.map->name;
    out_.batch.DeleteElements(map, each.deleted);
    Subject("");
    out_.batch.AddElements(map, each.added);
    Subject(map);
  }

  absl::flat_hash_set<std::string> MovedMaps() const {
    if (changed_.empty()) return {};
    Elements lost;
    for (const NftFoundChain* chain : emptied_) {
      for (const Rule& rule : chain->read) {
        if (!rule.counter.empty()) {
          lost.push_back({.object = NftObjectName(rule.counter)});
        }
      }
    }
    Elements got;
    for (const NftWantedChain* chain : out_.filled) {
      for (const OwnedRule& rule : chain->chain->rules) {
        if (!rule.counter.empty()) {
          got.push_back({.object = NftObjectName(rule.counter)});
        }
      }
    }
    std::vector<NftPlaceChange> changes = {{.lost = lost, .got = got}};
    for (const Changed& each : changed_) {
      changes.push_back({.map = each.map->name,
                         .in_place = true,
                         .is_set = each.map->objects == 0,
                         .lost = each.deleted,
                         .got = each.added});
    }
    for (const auto* maps : {&unwanted_maps_, &misshapen_maps_}) {
      for (const NftFoundMap* each : *maps) {
        changes.push_back({.map = each->map.name, .lost = each->elements});
      }
    }
    for (const NftWantedMap* each : out_.new_maps) {
      changes.push_back({.map = each->map.name, .got = each->elements});
    }
    return NftMovedMaps(changes);
  }

  const NftWanted& wanted_;
  const NftFound& found_;
  NftOwnedChange out_;
  absl::flat_hash_map<std::string, const NftFoundChain*> chains_;
  absl::flat_hash_map<std::string, const NftFoundMap*> maps_;
  std::vector<const NftFoundChain*> emptied_;
  std::vector<const NftFoundChain*> unwanted_chains_;
  absl::flat_hash_map<std::string, const NftWantedChain*> replaced_;
  std::vector<const NftWantedChain*> made_;
  std::vector<const NftFoundMap*> unwanted_maps_;
  std::vector<const NftFoundMap*> misshapen_maps_;
  std::vector<Changed> changed_;
};

}  // namespace

void NftOwnedChange::AddMaps() {
  for (const NftWantedMap* each : new_maps) {
    batch.AddMap(each->map);
    batch.AddElements(each->map.name, each->elements);
    subjects.resize(batch.size(), each->map.name);
  }
}

void NftOwnedChange::AddRules() {
  uint32_t number = 1;
  for (const NftWantedChain* chain : filled) {
    const std::string name = chain->place.KernelName();
    for (size_t i = 0; i < chain->rules.size(); ++i) {
      for (const NftBatch::Set& set : chain->rules[i].sets) batch.AddSet(set);
      batch.AddRule(name, chain->rules[i].bytes, number++, {});
      subjects.resize(batch.size(), chain->texts[i]);
    }
  }
}

NftOwnedChange CompareNftOwned(const NftWanted& wanted, const NftFound& found,
                               NftBatch start) {
  return Comparison(wanted, found, std::move(start)).Run();
}

}  // namespace nfmeter::kernel
