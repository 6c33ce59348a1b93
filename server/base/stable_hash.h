// SPDX-License-Identifier: GPL-3.0-or-later
// A hash that outlives the process.
#ifndef NFMETER_BASE_STABLE_HASH_H_
#define NFMETER_BASE_STABLE_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace nfmeter {

// FNV-1a, 64 bits, over a row of strings: for etags and page tokens, which
// clients keep over restarts of the server. absl::Hash differs in each.
class StableHash {
 public:
  StableHash& Add(absl::string_view bytes) {
    for (const char byte : bytes) AddByte(static_cast<uint8_t>(byte));
    // Keeps "ab" + "c" apart from "a" + "bc"; no string of ours contains it.
    AddByte(0xff);
    return *this;
  }
  StableHash& Add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      AddByte(static_cast<uint8_t>(number >> shift));
    }
    return *this;
  }

  uint64_t value() const { return value_; }

 private:
  void AddByte(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3; }

  uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_STABLE_HASH_H_
