// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/frame_guard.h"

#include <string.h>

#include <algorithm>
#include <utility>

namespace nfmeter::interpose {
namespace {

// RFC 9113, section 3.4.
constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113, section 6.
constexpr uint8_t kData = 0, kHeaders = 1, kRstStream = 3, kWindowUpdate = 8;
constexpr uint8_t kEndStream = 0x1;

// A message of gRPC begins with 5 bytes, so an honest frame with data is not
// shorter, unless it ends the stream.
constexpr uint32_t kLeastData = 5;

// A client may update the windows of stream and connection for each frame with
// data, and for each call that it makes.
constexpr size_t kUpdatesPerFrame = 2;
constexpr size_t kMostDueUpdates = 1 << 20;

}  // namespace

absl::string_view VerdictName(FrameGuard::Verdict verdict) {
  switch (verdict) {
    case FrameGuard::Verdict::kFine:
      return "none";
    case FrameGuard::Verdict::kOpenStreams:
      return "open_streams";
    case FrameGuard::Verdict::kResets:
      return "resets";
    case FrameGuard::Verdict::kIdleFrames:
      return "idle_frames";
    case FrameGuard::Verdict::kRequestBytes:
      return "request_bytes";
  }
  return "";
}

void FrameReader::SkipPreface(absl::Span<const uint8_t>& bytes) {
  const size_t size = std::min(bytes.size(), preface_left_);
  const char* const expected = kPreface + (kPrefaceSize - preface_left_);
  is_http2_ = is_http2_ && memcmp(bytes.data(), expected, size) == 0;
  preface_left_ -= size;
  bytes.remove_prefix(size);
}

void FrameReader::Skip(absl::Span<const uint8_t>& bytes) {
  const size_t size = std::min(bytes.size(), payload_left_);
  payload_left_ -= size;
  bytes.remove_prefix(size);
}

bool FrameReader::CompleteHeader(absl::Span<const uint8_t>& bytes) {
  const size_t size = std::min(bytes.size(), kHeaderSize - header_size_);
  memcpy(header_ + header_size_, bytes.data(), size);
  header_size_ += size;
  bytes.remove_prefix(size);
  if (header_size_ < kHeaderSize) return false;
  header_size_ = 0;
  return true;
}

FrameReader::Frame FrameReader::Parse(const uint8_t* header) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(header[i]); };
  const Frame frame = {.length = byte(0) << 16 | byte(1) << 8 | byte(2),
                       .type = header[3],
                       .flags = header[4],
                       .stream = (byte(5) & 0x7f) << 24 | byte(6) << 16 |
                                 byte(7) << 8 | byte(8)};
  payload_left_ = frame.length;
  return frame;
}

FrameGuard::FrameGuard(const Limits& limits,
                       std::shared_ptr<ClientLoads::Client> client,
                       Clock& clock)
    : limits_(limits),
      load_(std::move(client)),
      clock_(clock),
      client_(/*has_preface=*/true),
      server_(/*has_preface=*/false),
      resets_(limits.max_resets_per_second,
              std::max<double>(limits.max_resets_per_second,
                               limits.max_open_streams / 2.0),
              clock.BootTime()),
      idle_frames_(kMaxIdleFrames, kMaxIdleFrames, clock.BootTime()) {}

FrameGuard::~FrameGuard() {
  while (!open_.empty()) Close(open_.begin()->first);
}

FrameGuard::Verdict FrameGuard::FromClient(absl::Span<const uint8_t> bytes) {
  client_.Read(bytes, [this](const Frame& frame) { OnClientFrame(frame); });
  return verdict_;
}

FrameGuard::Verdict FrameGuard::FromServer(absl::Span<const uint8_t> bytes) {
  // Other bytes, such as those of TLS, have no frames to look at.
  if (!client_.is_http2()) return verdict_;
  server_.Read(bytes, [this](const Frame& frame) { OnServerFrame(frame); });
  return verdict_;
}

void FrameGuard::OnClientFrame(const Frame& frame) {
  switch (frame.type) {
    case kHeaders:
      return OpenOrTrail(frame);
    case kData:
      if (frame.length < kLeastData && (frame.flags & kEndStream) == 0) {
        CountIdleFrame();
      }
      return Receive(frame);
    case kRstStream:
      // A call that the server has ended meanwhile is not taken back.
      return Close(frame.stream) ? CountReset() : CountIdleFrame();
    case kWindowUpdate:
      if (due_updates_ == 0) return CountIdleFrame();
      --due_updates_;
      return;
    default:
      return CountIdleFrame();
  }
}

void FrameGuard::OnServerFrame(const Frame& frame) {
  if (frame.type == kRstStream) {
    Close(frame.stream);
    CountReset();
  } else if (frame.type == kHeaders || frame.type == kData) {
    due_updates_ = std::min(due_updates_ + kUpdatesPerFrame, kMostDueUpdates);
    Answer(frame.stream);
    if ((frame.flags & kEndStream) != 0) Close(frame.stream);
  }
}

void FrameGuard::OpenOrTrail(const Frame& frame) {
  if (frame.stream <= last_stream_) return CountIdleFrame();
  last_stream_ = frame.stream;
  due_updates_ = std::min(due_updates_ + kUpdatesPerFrame, kMostDueUpdates);
  open_.emplace(frame.stream, 0);
  load_->Open();
  if (open_.size() > limits_.max_open_streams || load_->HasTooManyCalls()) {
    verdict_ = Verdict::kOpenStreams;
  }
}

void FrameGuard::Receive(const Frame& frame) {
  const auto call = open_.find(frame.stream);
  if (call == open_.end() || frame.length == 0) return;
  call->second += frame.length;
  load_->Receive(frame.length);
  if (load_->HasTooManyBytes()) verdict_ = Verdict::kRequestBytes;
}

void FrameGuard::Answer(uint32_t stream) {
  const auto call = open_.find(stream);
  if (call != open_.end()) load_->Release(std::exchange(call->second, 0));
}

bool FrameGuard::Close(uint32_t stream) {
  const auto call = open_.find(stream);
  if (call == open_.end()) return false;
  load_->Release(call->second);
  load_->Close();
  open_.erase(call);
  return true;
}

void FrameGuard::CountReset() {
  if (limits_.max_resets_per_second != 0 && !resets_.Take(clock_.BootTime())) {
    verdict_ = Verdict::kResets;
  }
}

void FrameGuard::CountIdleFrame() {
  if (!idle_frames_.Take(clock_.BootTime())) verdict_ = Verdict::kIdleFrames;
}

}  // namespace nfmeter::interpose
