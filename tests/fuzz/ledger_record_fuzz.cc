// SPDX-License-Identifier: GPL-3.0-or-later
// What the ledger's file holds as bytes. The first byte says which kind: what
// is decoded must be encoded as it was.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>

#include "absl/strings/string_view.h"
#include "accounting/ledger/record.h"

using nfmeter::accounting::DecodeBucket;
using nfmeter::accounting::DecodeCheckpoint;
using nfmeter::accounting::DecodeRecord;
using nfmeter::accounting::Encode;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1,
                                size - 1);
  std::string again(bytes);
  switch (data[0] % 4) {
    case 0:
      if (const auto record = DecodeRecord(bytes); record.ok()) {
        again = Encode(*record);
      }
      break;
    case 1:
      if (const auto checkpoint = DecodeCheckpoint(bytes); checkpoint.ok()) {
        again = Encode(*checkpoint);
      }
      break;
    default:
      const bool with_peaks = data[0] % 4 == 2;
      if (const auto bucket = DecodeBucket(bytes, with_peaks); bucket.ok()) {
        again = Encode(*bucket, with_peaks);
      }
  }
  if (again != bytes) abort();
  return 0;
}
