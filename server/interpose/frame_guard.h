// SPDX-License-Identifier: GPL-3.0-or-later
// What one HTTP/2 connection may ask of a server that gRPC 1.51 lets it ask
// without end.
#ifndef NFMETER_INTERPOSE_FRAME_GUARD_H_
#define NFMETER_INTERPOSE_FRAME_GUARD_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/token_bucket.h"
#include "interpose/client_loads.h"

namespace nfmeter::interpose {

// Splits one direction of a connection into frames (RFC 9113, section 4.1),
// however it is cut into pieces. Not thread-safe.
class FrameReader {
 public:
  struct Frame {
    uint32_t length = 0;  // of its payload
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
  };

  // `has_preface`: the client's direction, which begins with one.
  explicit FrameReader(bool has_preface)
      : preface_left_(has_preface ? kPrefaceSize : 0) {}

  // The preface, where there is one, has been seen.
  bool is_http2() const { return is_http2_ && preface_left_ == 0; }

  // Calls on_frame(const Frame&) for each frame whose header ends in `bytes`.
  // For what does not begin with a preface it is never called.
  template <typename OnFrame>
  void Read(absl::Span<const uint8_t> bytes, OnFrame&& on_frame) {
    if (preface_left_ > 0) SkipPreface(bytes);
    while (!bytes.empty() && is_http2_) {
      if (payload_left_ > 0) {
        Skip(bytes);
      } else if (header_size_ == 0 && bytes.size() >= kHeaderSize) {
        on_frame(Parse(bytes.data()));
        bytes.remove_prefix(kHeaderSize);
      } else if (CompleteHeader(bytes)) {
        on_frame(Parse(header_));
      }
    }
  }

 private:
  static constexpr size_t kPrefaceSize = 24;
  static constexpr size_t kHeaderSize = 9;

  void SkipPreface(absl::Span<const uint8_t>& bytes);
  void Skip(absl::Span<const uint8_t>& bytes);
  bool CompleteHeader(absl::Span<const uint8_t>& bytes);
  Frame Parse(const uint8_t* header);

  size_t preface_left_;
  bool is_http2_ = true;
  size_t payload_left_ = 0;
  size_t header_size_ = 0;  // bytes that are in header_
  uint8_t header_[kHeaderSize];
};

// Looks at the frames of a connection in both directions and says when the
// client does what no proper one does:
//
// - It takes calls back, or makes the server end them by errors, again and
//   again (CVE-2023-44487 and CVE-2025-8671): each has become a call that waits
//   to be carried out, while on the connection its place is free again.
// - It opens more calls than it may. gRPC enforces its bound only on clients
//   that have acknowledged it, and they need not.
// - Its client has more calls open, or more bytes of requests waiting to be
//   answered, than its share of what all may have together: gRPC collects a
//   message before it asks anybody whether its call is let in.
// - It sends frames that ask for nothing but cost: SETTINGS, PING, PRIORITY,
//   CONTINUATION, DATA without data, and WINDOW_UPDATE for data that it was
//   not sent (CVE-2019-9511 to 9518, CVE-2024-27316).
//
// Not thread-safe. Does not own the clock.
class FrameGuard {
 public:
  struct Limits {
    size_t max_open_streams = 2048;
    // 0: any number. As many as in a second, and not less than
    // max_open_streams / 2, may come at once.
    size_t max_resets_per_second = 1000;
  };
  enum class Verdict {
    kFine,
    kOpenStreams,
    kResets,
    kIdleFrames,
    kRequestBytes
  };
  static constexpr size_t kVerdicts = 5;

  FrameGuard(const Limits& limits, std::shared_ptr<ClientLoads::Client> client,
             Clock& clock);
  ~FrameGuard();
  FrameGuard(const FrameGuard&) = delete;
  FrameGuard& operator=(const FrameGuard&) = delete;

  // Bytes that the client has sent, before gRPC has them. Once a verdict is not
  // kFine, it stays.
  Verdict FromClient(absl::Span<const uint8_t> bytes);
  // Bytes that the server has sent.
  Verdict FromServer(absl::Span<const uint8_t> bytes);

  // What is to be said of a connection that has ended: gRPC closes those that
  // have more calls than they acknowledged they may.
  Verdict AtEnd() const {
    return open_.size() > limits_.max_open_streams / 2 ? Verdict::kOpenStreams
                                                       : Verdict::kFine;
  }

  size_t open_streams() const { return open_.size(); }

  // Frames that ask for nothing: a second, and at once.
  static constexpr size_t kMaxIdleFrames = 1000;

 private:
  using Frame = FrameReader::Frame;

  void OnClientFrame(const Frame& frame);
  void OnServerFrame(const Frame& frame);
  void OpenOrTrail(const Frame& frame);
  void Receive(const Frame& frame);
  // The server answers: what the client has sent so far has been read.
  void Answer(uint32_t stream);
  bool Close(uint32_t stream);
  void CountReset();
  void CountIdleFrame();

  const Limits limits_;
  const std::shared_ptr<ClientLoads::Client> load_;
  Clock& clock_;
  FrameReader client_;
  FrameReader server_;
  TokenBucket resets_;
  TokenBucket idle_frames_;
  // WINDOW_UPDATE frames that the client has reason to send.
  size_t due_updates_ = 0;
  uint32_t last_stream_ = 0;
  // Each with the bytes that wait to be answered; in the order in which they
  // come.
  absl::btree_map<uint32_t, size_t> open_;
  Verdict verdict_ = Verdict::kFine;
};

// For logs and metrics: "resets".
absl::string_view VerdictName(FrameGuard::Verdict verdict);

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_FRAME_GUARD_H_
