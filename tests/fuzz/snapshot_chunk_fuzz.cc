// SPDX-License-Identifier: GPL-3.0-or-later
// What a server sends to the SDK. The generated code is what it is held
// against.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>

#include "column_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nfmeter;  // NOLINT: one function
  const std::string wire(reinterpret_cast<const char*>(data), size);
  std::vector<uint32_t> ids;
  std::vector<uint64_t> packets;
  std::vector<uint64_t> bytes;
  std::vector<uint64_t> total_packets;
  std::vector<uint64_t> total_bytes;
  client_internal::ColumnExtras extras;
  v1::SnapshotFrame frame;
  const absl::Status read = client_internal::DecodeChunk(
      wire, {&ids, &packets, &bytes, &total_packets, &total_bytes}, &extras,
      &frame);
  v1::GetSnapshotResponse response;
  if (!read.ok() || !response.ParseFromString(wire)) return 0;
  const v1::SnapshotColumns& columns = response.frame().columns();
  if (columns.ids_size() != static_cast<int>(ids.size()) ||
      columns.packets_size() != static_cast<int>(packets.size()) ||
      columns.bytes_size() != static_cast<int>(bytes.size()) ||
      columns.total_packets_size() != static_cast<int>(total_packets.size()) ||
      columns.total_bytes_size() != static_cast<int>(total_bytes.size()) ||
      columns.labels_size() != static_cast<int>(extras.labels.size())) {
    abort();
  }
  return 0;
}
