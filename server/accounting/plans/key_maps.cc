// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/key_maps.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::OwnedMap;

// How many bits a key has, and how many of a KeyNumber lie below them.
struct KeyLayout {
  int bits = 0;
  int below = 0;
};

KeyLayout LayoutOf(KeyField field, kernel::Family family) {
  if (IsAddress(field)) {
    return family == kernel::Family::kIpv4 ? KeyLayout{32, 96}
                                           : KeyLayout{128, 0};
  }
  return {field == KeyField::kUid ? 32 : 16, 0};
}

// A prefix of keys: the numbers that begin as `first` does.
struct Prefix {
  KeyNumber first = 0;
  int bits = 0;
};

// The fewest prefixes that make up the range, which is of whole keys.
std::vector<Prefix> PrefixesOf(const KeyRange& range, const KeyLayout& layout) {
  KeyNumber first = range.first >> layout.below;
  const KeyNumber last = range.last >> layout.below;
  std::vector<Prefix> prefixes;
  for (;;) {
    int free = 0;
    const auto end = [&](int bits) {
      return bits == 128 ? ~KeyNumber{0} : first | ((KeyNumber{1} << bits) - 1);
    };
    while (free < layout.bits && (first >> free & 1) == 0 &&
           end(free + 1) <= last) {
      ++free;
    }
    prefixes.push_back({first, layout.bits - free});
    if (end(free) >= last) return prefixes;
    first = end(free) + 1;
  }
}

std::string KeyBytes(KeyNumber number, const KeyLayout& layout) {
  std::string bytes(static_cast<size_t>(layout.bits) / 8, '\0');
  for (size_t i = bytes.size(); i-- > 0; number >>= 8) {
    bytes[i] = static_cast<char>(number & 0xff);
  }
  return bytes;
}

// What the elements of one map have in common.
struct Kind {
  int bits = 0;
  bool from_elsewhere = false;
  OwnedAction action = OwnedAction::kContinue;
  kernel::Mark mark;

  // The longest prefix first.
  auto Order() const {
    return std::tuple(-bits, from_elsewhere, action, mark.value, mark.mask);
  }
  friend bool operator<(const Kind& a, const Kind& b) {
    return a.Order() < b.Order();
  }
};

using Elements = std::vector<OwnedMap::Element>;

// By rising key, each once: a key that is there already goes into the next
// layer.
std::vector<Elements> LayersOf(Elements elements) {
  const auto by_key = [](const auto& a, const auto& b) {
    return a.key < b.key;
  };
  if (!absl::c_is_sorted(elements, by_key)) {
    absl::c_stable_sort(elements, by_key);
  }
  std::vector<Elements> layers(1);
  layers[0].reserve(elements.size());
  size_t layer = 0;
  for (OwnedMap::Element& each : elements) {
    const bool again =
        !layers[layer].empty() && layers[layer].back().key == each.key;
    layer = again ? layer + 1 : 0;
    if (layer == layers.size()) layers.emplace_back();
    layers[layer].push_back(std::move(each));
  }
  return layers;
}

}  // namespace

KeyMaps MakeKeyMaps(kernel::Family family, KeyField field,
                    std::vector<KeyedCounter> counters,
                    std::function<std::string(absl::string_view part)> name) {
  const KeyLayout layout = LayoutOf(field, family);
  // In an order that does not depend on the plan's, for the layers.
  absl::c_sort(counters, [](const KeyedCounter& a, const KeyedCounter& b) {
    return std::tie(a.range.first, a.range.last, a.counter) <
           std::tie(b.range.first, b.range.last, b.counter);
  });
  std::map<Kind, Elements> by_kind;
  for (const KeyedCounter& each : counters) {
    for (const Prefix& prefix : PrefixesOf(each.range, layout)) {
      const Kind kind = {.bits = prefix.bits,
                         .from_elsewhere = each.from_elsewhere,
                         .action = each.action,
                         .mark = each.mark};
      by_kind[kind].push_back(
          {KeyBytes(prefix.first, layout), each.counter, each.quota});
    }
  }
  KeyMaps out;
  for (auto& [kind, of_kind] : by_kind) {
    std::vector<Elements> layers = LayersOf(std::move(of_kind));
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const std::string part =
          absl::StrCat("map|", kind.bits, "|", static_cast<int>(kind.action),
                       "|", kind.mark.value, "|", kind.mark.mask, "|", layer,
                       kind.from_elsewhere ? "|from elsewhere" : "");
      out.maps.push_back({.name = name(part),
                          .key = field,
                          .bits = static_cast<uint8_t>(kind.bits),
                          .from_elsewhere = kind.from_elsewhere,
                          .elements = std::move(layers[layer])});
      out.rules.push_back({.map = out.maps.back().name,
                           .action = kind.action,
                           .mark = kind.mark});
    }
  }
  return out;
}

}  // namespace nfmeter::accounting
