// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_frame.h"

#include <algorithm>
#include <utility>

#include "google/protobuf/arena.h"
#include "google/protobuf/io/coded_stream.h"
#include "service/gate/counter_message.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

using google::protobuf::io::CodedOutputStream;

EncodedMembers Encode(const std::vector<uint32_t>& members,
                      const accounting::NameTable& names) {
  EncodedMembers encoded;
  size_t ids_size = 0;
  size_t names_size = 0;
  for (const uint32_t id : members) {
    ids_size += CodedOutputStream::VarintSize32(id);
    names_size += names.Shown(id).size() + 1;
  }
  encoded.ids.resize(ids_size);
  encoded.names.reserve(names_size);
  auto* out = reinterpret_cast<uint8_t*>(encoded.ids.data());
  for (const uint32_t id : members) {
    out = CodedOutputStream::WriteVarint32ToArray(id, out);
    const absl::string_view name = names.Shown(id);
    encoded.names.append(name.data(), name.size());
    encoded.names.push_back('\n');
  }
  return encoded;
}

// At most so many removals a message.
constexpr size_t kRemovalsPerMessage = 4096;

// Counter messages on an arena.
class RowsEncoder final : public FrameEncoder {
 public:
  RowsEncoder(Options options, const Context& context, OnMessage on_message)
      : FrameEncoder(std::move(options), std::move(on_message)),
        counters_(context.counters) {}

  void Add(const RowSelection& rows) override;

 private:
  bool HasPending() const override {
    return response_ != nullptr &&
           (response_->frame().counters_size() != 0 ||
            response_->frame().removed_names_size() != 0);
  }
  void AddRemoved(absl::Span<const uint32_t> ids) override {
    for (const uint32_t id : ids) {
      Frame().add_removed_names(std::string(names().Shown(id)));
    }
  }
  grpc::Slice Encode(const v1::SnapshotFrame& header) override {
    Frame().MergeFrom(header);
    grpc::Slice message(response_->ByteSizeLong());
    // The slice is ours alone until it is returned.
    response_->SerializeWithCachedSizesToArray(
        const_cast<uint8_t*>(message.begin()));
    response_ = nullptr;
    arena_.Reset();
    pending_bytes_ = 0;
    return message;
  }

  v1::SnapshotFrame& Frame() {
    if (response_ == nullptr) {
      response_ =
          google::protobuf::Arena::CreateMessage<v1::GetSnapshotResponse>(
              &arena_);
    }
    return *response_->mutable_frame();
  }
  void AddRow(const accounting::SnapshotChunk& chunk, uint32_t row,
              const accounting::SnapshotChunk::QuotaRow* quota);

  const accounting::Counters& counters_;
  google::protobuf::Arena arena_;
  v1::GetSnapshotResponse* response_ = nullptr;  // what is pending
  size_t pending_bytes_ = 0;
};

void RowsEncoder::Add(const RowSelection& selection) {
  const accounting::SnapshotChunk& chunk = *selection.chunk;
  auto quota = chunk.quotas.begin();
  for (size_t i = 0; i < selection.size(); ++i) {
    const uint32_t row =
        selection.rows ? (*selection.rows)[i] : static_cast<uint32_t>(i);
    while (quota != chunk.quotas.end() && quota->row < row) ++quota;
    const bool limited = quota != chunk.quotas.end() && quota->row == row;
    AddRow(chunk, row, limited ? &*quota : nullptr);
  }
}

void RowsEncoder::AddRow(const accounting::SnapshotChunk& chunk, uint32_t row,
                         const accounting::SnapshotChunk::QuotaRow* quota) {
  kernel::AcctObject object = {
      .name = std::string(names().KernelName(chunk.ids()[row])),
      .packets = chunk.packets[row],
      .bytes = chunk.bytes[row],
      .use_count = chunk.use_counts[row]};
  if (quota != nullptr) {
    object.quota = quota->limit;
    object.quota_exceeded = quota->exceeded;
  }
  const accounting::Counter counter = counters_.Describe(
      std::move(object),
      {options_.snapshot->wall_time, options_.snapshot->boottime});

  v1::Counter* const proto = Frame().add_counters();
  ToProto(counter, proto);
  pending_bytes_ += proto->ByteSizeLong() + 4;
  if (pending_bytes_ >= kFrameMessageBytes) Flush();
}

v1::SnapshotFrame MakeHeader(const FrameEncoder::Options& options) {
  const accounting::Snapshot& snapshot = *options.snapshot;
  v1::SnapshotFrame header;
  header.set_epoch(snapshot.epoch);
  header.set_sequence(snapshot.sequence);
  ToProto(snapshot.wall_time, header.mutable_wall_time());
  ToProto(snapshot.boottime, header.mutable_boottime());
  header.set_full(options.full);
  header.set_restarted(options.restarted);
  return header;
}

}  // namespace

std::shared_ptr<const EncodedMembers> MemberEncodings::Get(
    const std::shared_ptr<const std::vector<uint32_t>>& members,
    const accounting::NameTable& names) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(members.get());
  // An expired entry is that of an older vector at the same address.
  if (found != entries_.end() && !found->second.members.expired()) {
    return found->second.encoded;
  }
  absl::erase_if(entries_, [](const auto& entry) {
    return entry.second.members.expired();
  });
  auto encoded =
      std::make_shared<const EncodedMembers>(Encode(*members, names));
  entries_[members.get()] = {members, encoded};
  return encoded;
}

std::unique_ptr<FrameEncoder> FrameEncoder::Create(Options options,
                                                   const Context& context,
                                                   OnMessage on_message) {
  if (options.form.view == v1::SNAPSHOT_VIEW_COLUMNS) {
    return NewColumnsEncoder(std::move(options), context,
                             std::move(on_message));
  }
  return std::make_unique<RowsEncoder>(std::move(options), context,
                                       std::move(on_message));
}

FrameEncoder::FrameEncoder(Options options, OnMessage on_message)
    : options_(std::move(options)),
      on_message_(std::move(on_message)),
      header_(MakeHeader(options_)) {}

void FrameEncoder::Flush() {
  if (HasPending()) Write(/*last=*/false);
}

void FrameEncoder::Finish(bool complete, size_t matched,
                          absl::Span<const uint32_t> removed_ids) {
  while (removed_ids.size() > kRemovalsPerMessage) {
    AddRemoved(removed_ids.subspan(0, kRemovalsPerMessage));
    removed_ids.remove_prefix(kRemovalsPerMessage);
    Flush();
  }
  AddRemoved(removed_ids);
  header_.set_complete(complete);
  header_.set_expected_count(static_cast<uint32_t>(matched));
  header_.set_last_chunk(true);
  Write(/*last=*/true);
}

void FrameEncoder::Write(bool last) {
  on_message_(Encode(header_));
  if (last) return;
  header_.set_chunk_index(header_.chunk_index() + 1);
  header_.set_restarted(false);
}

}  // namespace nfmeter::service
