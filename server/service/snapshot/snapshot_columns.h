// SPDX-License-Identifier: GPL-3.0-or-later
// SNAPSHOT_VIEW_COLUMNS.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_COLUMNS_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_COLUMNS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "service/snapshot/snapshot_frame.h"
#include "service/snapshot/snapshot_members.h"

namespace nfmeter::service {

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

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_COLUMNS_H_
