// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "service/snapshot/snapshot_frame.h"

namespace nfmeter::service {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using Columns = v1::SnapshotColumns;

size_t VarintSize(uint64_t value) {
  return CodedOutputStream::VarintSize64(value);
}

uint8_t* WriteVarint(uint64_t value, uint8_t* out) {
  return CodedOutputStream::WriteVarint64ToArray(value, out);
}

// A length-delimited field of `size` bytes with its tag (one byte for all
// fields here) and length; nothing when it is empty.
size_t FieldSize(size_t size) {
  return size == 0 ? 0 : 1 + VarintSize(size) + size;
}

uint8_t* WriteFieldStart(int field, size_t size, uint8_t* out) {
  out = WireFormatLite::WriteTagToArray(
      field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, out);
  return WriteVarint(size, out);
}

// Calls `visit` with each selected row.
template <typename Visit>
void ForEachRow(const RowSelection& selection, Visit visit) {
  if (selection.rows.has_value()) {
    for (const uint32_t row : *selection.rows) visit(row);
  } else {
    const uint32_t size = static_cast<uint32_t>(selection.chunk->size());
    for (uint32_t row = 0; row < size; ++row) visit(row);
  }
}

// Calls `visit` with the id of each selected row that is over its quota.
template <typename Visit>
void ForEachExceeded(const RowSelection& selection, Visit visit) {
  const accounting::SnapshotChunk& chunk = *selection.chunk;
  for (const auto& quota : chunk.quotas) {
    if (!quota.exceeded) continue;
    if (selection.rows.has_value() &&
        !std::binary_search(selection.rows->begin(), selection.rows->end(),
                            quota.row)) {
      continue;
    }
    visit(chunk.ids()[quota.row]);
  }
}

template <typename T>
size_t ColumnSize(const RowSelection& selection, const std::vector<T>& values) {
  size_t size = 0;
  ForEachRow(selection, [&](uint32_t row) { size += VarintSize(values[row]); });
  return size;
}

template <typename T>
uint8_t* WriteValues(const RowSelection& selection,
                     const std::vector<T>& values, uint8_t* out) {
  ForEachRow(selection,
             [&](uint32_t row) { out = WriteVarint(values[row], out); });
  return out;
}

uint8_t* WriteText(absl::string_view text, uint8_t* out) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// Writes the wire format of SnapshotColumns by itself, straight from the
// snapshot's columns: generated messages would need every value copied twice.
class ColumnsEncoder final : public FrameEncoder {
 public:
  ColumnsEncoder(Options options, const Context& context, OnMessage on_message);

  void Add(const RowSelection& rows) override;

 private:
  // Bytes of the contents of each field of SnapshotColumns but `labels`, by its
  // number, which is below 16: so tags have one byte.
  class Sizes {
   public:
    size_t& operator[](int field) { return bytes_[field]; }
    size_t operator[](int field) const { return bytes_[field]; }

    // With tags and lengths.
    size_t Total() const;
    void operator+=(const Sizes& other);

   private:
    std::array<size_t, 16> bytes_ = {};
  };

  struct Pending {
    RowSelection rows;
    // Of all rows; null when some are left out.
    std::shared_ptr<const EncodedMembers> members;
    // By row of the chunk, if they are wanted.
    std::vector<uint64_t> total_packets;
    std::vector<uint64_t> total_bytes;
  };

  bool HasPending() const override {
    return !pending_.empty() || !removed_.empty();
  }
  void AddRemoved(absl::Span<const uint32_t> ids) override;
  grpc::Slice Encode(const v1::SnapshotFrame& header) override;

  bool IsNew(uint32_t id) const {
    return all_new_ || (id < new_ids_.size() && new_ids_[id]);
  }
  Sizes Measure(const Pending& pending) const;
  void WriteColumns(uint8_t* out) const;
  // The contents of LabelColumn.values for the new names among the rows, by
  // key.
  std::vector<std::string> LabelsOf(const RowSelection& rows) const;
  // Bytes of the field of labels, with `more` values.
  size_t LabelsSize(const std::vector<std::string>& more) const;
  uint8_t* WriteLabels(uint8_t* out) const;
  // Calls `visit` with the id of each selected row whose name is new.
  template <typename Visit>
  void ForEachNew(const RowSelection& rows, Visit visit) const;

  void AddTotals(Pending& pending) const;

  MemberEncodings& members_;
  const accounting::LabelStore& labels_;
  accounting::Ledger& ledger_;
  bool all_new_ = false;
  std::vector<bool> new_ids_;  // by id; empty: none
  std::vector<Pending> pending_;
  std::vector<uint32_t> removed_;
  Sizes sizes_;                            // of what is pending
  std::vector<std::string> label_values_;  // likewise, by key
};

size_t ColumnsEncoder::Sizes::Total() const {
  size_t total = 0;
  for (const size_t bytes : bytes_) total += FieldSize(bytes);
  return total;
}

void ColumnsEncoder::Sizes::operator+=(const Sizes& other) {
  for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] += other.bytes_[i];
}

ColumnsEncoder::ColumnsEncoder(Options options, const Context& context,
                               OnMessage on_message)
    : FrameEncoder(std::move(options), std::move(on_message)),
      members_(context.members),
      labels_(context.labels),
      ledger_(context.ledger),
      label_values_(options_.form.label_keys.size()) {
  if (options_.names_known_at == 0) {
    all_new_ = true;
    return;
  }
  for (const uint32_t id :
       options_.snapshot->AddedSince(options_.names_known_at)) {
    if (id >= new_ids_.size()) new_ids_.resize(id + 1);
    new_ids_[id] = true;
  }
}

template <typename Visit>
void ColumnsEncoder::ForEachNew(const RowSelection& rows, Visit visit) const {
  if (!all_new_ && new_ids_.empty()) return;
  const std::vector<uint32_t>& ids = rows.chunk->ids();
  ForEachRow(rows, [&](uint32_t row) {
    if (IsNew(ids[row])) visit(ids[row]);
  });
}

ColumnsEncoder::Sizes ColumnsEncoder::Measure(const Pending& pending) const {
  const RowSelection& rows = pending.rows;
  Sizes sizes;
  sizes[Columns::kPacketsFieldNumber] = ColumnSize(rows, rows.chunk->packets);
  sizes[Columns::kBytesFieldNumber] = ColumnSize(rows, rows.chunk->bytes);
  if (options_.form.totals) {
    sizes[Columns::kTotalPacketsFieldNumber] =
        ColumnSize(rows, pending.total_packets);
    sizes[Columns::kTotalBytesFieldNumber] =
        ColumnSize(rows, pending.total_bytes);
  }
  ForEachExceeded(rows, [&](uint32_t id) {
    sizes[Columns::kExceededIdsFieldNumber] += VarintSize(id);
  });
  sizes[Columns::kIdsFieldNumber] = pending.members != nullptr
                                        ? pending.members->ids.size()
                                        : ColumnSize(rows, rows.chunk->ids());
  size_t& new_names = sizes[Columns::kNewNamesFieldNumber];
  if (pending.members != nullptr && all_new_) {
    new_names = pending.members->names.size();
    return sizes;
  }
  ForEachNew(rows, [&](uint32_t id) {
    new_names += names().Shown(id).size() + 1;
    if (!all_new_) sizes[Columns::kNewIdsFieldNumber] += VarintSize(id);
  });
  return sizes;
}

void ColumnsEncoder::Add(const RowSelection& rows) {
  if (rows.size() == 0) return;
  Pending pending{.rows = rows};
  if (!rows.rows.has_value()) {
    pending.members = members_.Get(rows.chunk->members, names());
  }
  if (options_.form.totals) AddTotals(pending);
  const Sizes sizes = Measure(pending);
  const std::vector<std::string> labels = LabelsOf(rows);
  if (sizes_.Total() + sizes.Total() + LabelsSize(labels) >
      kFrameMessageBytes) {
    Flush();
  }
  sizes_ += sizes;
  for (size_t i = 0; i < labels.size(); ++i) label_values_[i] += labels[i];
  pending_.push_back(std::move(pending));
}

void ColumnsEncoder::AddTotals(Pending& pending) const {
  const accounting::SnapshotChunk& chunk = *pending.rows.chunk;
  pending.total_packets.reserve(chunk.size());
  pending.total_bytes.reserve(chunk.size());
  for (const accounting::Amount& total :
       ledger_.DescribeTotals(*options_.snapshot, chunk)) {
    pending.total_packets.push_back(total.packets);
    pending.total_bytes.push_back(total.bytes);
  }
}

std::vector<std::string> ColumnsEncoder::LabelsOf(
    const RowSelection& rows) const {
  std::vector<std::string> values(options_.form.label_keys.size());
  if (values.empty()) return values;
  ForEachNew(rows, [&](uint32_t id) {
    const accounting::Labels labels = labels_.Get(names().KernelName(id));
    for (size_t i = 0; i < values.size(); ++i) {
      const auto found = labels.find(options_.form.label_keys[i]);
      const absl::string_view value =
          found == labels.end() ? "" : absl::string_view(found->second);
      const size_t start = values[i].size();
      values[i].resize(start + 1 + VarintSize(value.size()) + value.size());
      WriteText(value, WriteFieldStart(
                           v1::LabelColumn::kValuesFieldNumber, value.size(),
                           reinterpret_cast<uint8_t*>(&values[i][start])));
    }
  });
  return values;
}

size_t ColumnsEncoder::LabelsSize(const std::vector<std::string>& more) const {
  size_t size = 0;
  for (size_t i = 0; i < label_values_.size(); ++i) {
    const size_t values =
        label_values_[i].size() + (more.empty() ? 0 : more[i].size());
    if (values == 0) continue;
    size += FieldSize(FieldSize(options_.form.label_keys[i].size()) + values);
  }
  return size;
}

uint8_t* ColumnsEncoder::WriteLabels(uint8_t* out) const {
  for (size_t i = 0; i < label_values_.size(); ++i) {
    if (label_values_[i].empty()) continue;
    const std::string& key = options_.form.label_keys[i];
    out = WriteFieldStart(Columns::kLabelsFieldNumber,
                          FieldSize(key.size()) + label_values_[i].size(), out);
    out = WriteFieldStart(v1::LabelColumn::kKeyFieldNumber, key.size(), out);
    out = WriteText(key, out);
    out = WriteText(label_values_[i], out);
  }
  return out;
}

void ColumnsEncoder::AddRemoved(absl::Span<const uint32_t> ids) {
  for (const uint32_t id : ids) {
    sizes_[Columns::kRemovedIdsFieldNumber] += VarintSize(id);
  }
  removed_.insert(removed_.end(), ids.begin(), ids.end());
}

grpc::Slice ColumnsEncoder::Encode(const v1::SnapshotFrame& header) {
  const size_t header_size = header.ByteSizeLong();
  const size_t columns_size = sizes_.Total() + LabelsSize({});
  const size_t frame_size = header_size + FieldSize(columns_size);
  grpc::Slice message(FieldSize(frame_size));
  // The slice is ours alone until it is returned.
  uint8_t* out = const_cast<uint8_t*>(message.begin());
  out = WriteFieldStart(v1::GetSnapshotResponse::kFrameFieldNumber, frame_size,
                        out);
  out = header.SerializeWithCachedSizesToArray(out);
  if (columns_size != 0) {
    out = WriteFieldStart(v1::SnapshotFrame::kColumnsFieldNumber, columns_size,
                          out);
    WriteColumns(out);
  }
  pending_.clear();
  removed_.clear();
  sizes_ = Sizes();
  for (std::string& values : label_values_) values.clear();
  return message;
}

void ColumnsEncoder::WriteColumns(uint8_t* out) const {
  // Writes a field, of which each of pending_ has a part.
  const auto write = [&](int field, auto write_part) {
    if (sizes_[field] == 0) return;
    out = WriteFieldStart(field, sizes_[field], out);
    for (const Pending& each : pending_) write_part(each);
  };
  const auto write_id = [&](uint32_t id) { out = WriteVarint(id, out); };
  write(Columns::kIdsFieldNumber, [&](const Pending& each) {
    out = each.members != nullptr
              ? WriteText(each.members->ids, out)
              : WriteValues(each.rows, each.rows.chunk->ids(), out);
  });
  write(Columns::kPacketsFieldNumber, [&](const Pending& each) {
    out = WriteValues(each.rows, each.rows.chunk->packets, out);
  });
  write(Columns::kBytesFieldNumber, [&](const Pending& each) {
    out = WriteValues(each.rows, each.rows.chunk->bytes, out);
  });
  write(Columns::kExceededIdsFieldNumber,
        [&](const Pending& each) { ForEachExceeded(each.rows, write_id); });
  write(Columns::kNewNamesFieldNumber, [&](const Pending& each) {
    if (each.members != nullptr && all_new_) {
      out = WriteText(each.members->names, out);
      return;
    }
    ForEachNew(each.rows, [&](uint32_t id) {
      out = WriteText(names().Shown(id), out);
      *out++ = '\n';
    });
  });
  write(Columns::kNewIdsFieldNumber,
        [&](const Pending& each) { ForEachNew(each.rows, write_id); });
  if (!removed_.empty()) {
    out = WriteFieldStart(Columns::kRemovedIdsFieldNumber,
                          sizes_[Columns::kRemovedIdsFieldNumber], out);
    for (const uint32_t id : removed_) write_id(id);
  }
  out = WriteLabels(out);
  write(Columns::kTotalPacketsFieldNumber, [&](const Pending& each) {
    out = WriteValues(each.rows, each.total_packets, out);
  });
  write(Columns::kTotalBytesFieldNumber, [&](const Pending& each) {
    out = WriteValues(each.rows, each.total_bytes, out);
  });
}

}  // namespace

std::unique_ptr<FrameEncoder> NewColumnsEncoder(
    FrameEncoder::Options options, const FrameEncoder::Context& context,
    FrameEncoder::OnMessage on_message) {
  return std::make_unique<ColumnsEncoder>(std::move(options), context,
                                          std::move(on_message));
}

}  // namespace nfmeter::service
