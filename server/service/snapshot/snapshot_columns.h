// SPDX-License-Identifier: GPL-3.0-or-later
// SNAPSHOT_VIEW_COLUMNS.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_COLUMNS_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_COLUMNS_H_

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
  // Bytes of each field's contents.
  struct Sizes {
    size_t ids = 0;
    size_t packets = 0;
    size_t bytes = 0;
    size_t exceeded_ids = 0;
    size_t new_names = 0;
    size_t new_ids = 0;
    size_t removed_ids = 0;
    size_t total_packets = 0;
    size_t total_bytes = 0;

    size_t Total() const;
    void operator+=(const Sizes& other);
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
  uint8_t* WriteColumns(uint8_t* out) const;
  uint8_t* WriteIds(uint8_t* out) const;
  uint8_t* WriteNames(uint8_t* out) const;
  uint8_t* WriteNewIds(uint8_t* out) const;
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
  uint8_t* WriteTotals(uint8_t* out) const;

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
