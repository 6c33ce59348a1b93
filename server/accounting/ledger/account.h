// SPDX-License-Identifier: GPL-3.0-or-later
// Accounts: what the ledger knows of a counter beyond the kernel's object.
#ifndef NFMETER_ACCOUNTING_LEDGER_ACCOUNT_H_
#define NFMETER_ACCOUNTING_LEDGER_ACCOUNT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace nfmeter::accounting {

// Packets and bytes, added and subtracted together. Modulo 2^64, as the
// kernel's own.
struct Amount {
  uint64_t packets = 0;
  uint64_t bytes = 0;

  Amount& operator+=(const Amount& other) {
    packets += other.packets;
    bytes += other.bytes;
    return *this;
  }
  Amount& operator-=(const Amount& other) {
    packets -= other.packets;
    bytes -= other.bytes;
    return *this;
  }
  friend Amount operator+(Amount a, const Amount& b) { return a += b; }
  friend Amount operator-(Amount a, const Amount& b) { return a -= b; }
  friend bool operator==(const Amount&, const Amount&) = default;

  bool zero() const { return packets == 0 && bytes == 0; }
  // It can't be a later value than `other` of an object that nobody reset. By
  // the arithmetic of serial numbers (RFC 1982): a value that passed 2^64 went
  // on, not back.
  bool WentBackFrom(const Amount& other) const {
    const auto went_back = [](uint64_t now, uint64_t before) {
      return static_cast<int64_t>(now - before) < 0;
    };
    return went_back(packets, other.packets) || went_back(bytes, other.bytes);
  }
};

// Why something may be missing. The numbers are in files: never change them.
enum class GapCause : uint8_t {
  kReboot = 1,             // the kernel's objects went with the machine
  kNamespaceChanged = 2,   // the server came back in another network namespace
  kServerDown = 3,         // nobody looked; the kernel went on counting
  kForeignReset = 4,       // somebody else zeroed the counter
  kForeignDelete = 5,      // somebody else deleted it
  kRulesMissing = 6,       // rules that count into it were away
  kIncompleteReading = 7,  // no complete reading for a while
  kInterruptedReset = 8,   // the server ended in the middle of a reset, or of a
                           // change of the quota
  kStoreLost = 9,          // the ledger's file was damaged, and began anew
  kStoreRestored = 10,     // the ledger is a backup's copy
  kRecordsDropped = 11,    // records went before this consumer had them
};

// Something may be missing in totals. For all that is known, nothing is missing
// outside of the window.
struct Gap {
  uint64_t account = 0;  // 0: every account that there was
  GapCause cause = GapCause::kServerDown;
  absl::Time from;  // the widest window
  absl::Time to;
  // The most that can be missing, where that is known.
  std::optional<Amount> at_most;

  friend bool operator==(const Gap&, const Gap&) = default;
};

// When something was read: the wall clock, for people and buckets, and the time
// since boot, for differences.
struct Moment {
  absl::Time wall;
  absl::Duration boottime;
};

// The account of a counter. Between two discontinuities, in a segment,
//   total = base + (kernel value - kernel_base)
// and it never falls.
struct Account {
  enum class State : uint8_t {
    kLive = 1,    // its object was in the last complete reading
    kAbsent = 2,  // it was, and may come back: then the account goes on
    kClosed = 3,  // deleted for good: a new counter of that name begins at 0
  };

  uint64_t id = 0;   // never reused in a ledger
  std::string name;  // the kernel's bytes
  State state = State::kLive;
  uint32_t generation = 1;  // moves with each kernel object
  Amount base;
  Amount kernel_base;
  absl::Time create_time;                        // when the account began
  absl::Time start_time;                         // when the segment did
  absl::Time reset_time = absl::InfinitePast();  // our last reset
  absl::Time end_time = absl::InfiniteFuture();  // since when it is not live
  GapCause absence = GapCause::kForeignDelete;   // why; only if kAbsent

  friend bool operator==(const Account&, const Account&) = default;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_ACCOUNT_H_
