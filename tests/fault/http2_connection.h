// SPDX-License-Identifier: GPL-3.0-or-later
// HTTP/2 as no proper client speaks it.
#ifndef NFMETER_TESTS_FAULT_HTTP2_CONNECTION_H_
#define NFMETER_TESTS_FAULT_HTTP2_CONNECTION_H_

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nfmeter::testing {

// Frames of RFC 9113, section 6, as bytes.
namespace http2 {

inline constexpr uint8_t kData = 0, kHeaders = 1, kRstStream = 3, kSettings = 4,
                         kPing = 6, kWindowUpdate = 8, kContinuation = 9;
inline constexpr uint8_t kEndStream = 0x1, kEndHeaders = 0x4;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream,
                  absl::string_view payload);

// The header block of a gRPC call: "/nfmeter.v1.NodeService/GetNode". Literals
// without Huffman coding (RFC 7541, section 6.2.2).
std::string CallHeaders(absl::string_view path);

// One more header field.
std::string Header(absl::string_view name, absl::string_view value);

// Files in PEM.
struct Tls {
  std::string ca;
  std::string certificate;
  std::string key;
};

}  // namespace http2

// One connection. Sends what it is told and throws away what
// comes back, but for how much it may send, without a thread: both when
// Send() is called.
class Http2Connection {
 public:
  // Preface and SETTINGS are sent.
  static absl::StatusOr<std::unique_ptr<Http2Connection>> Open(
      const std::string& socket_path);
  // The same on a port of 127.0.0.1.
  static absl::StatusOr<std::unique_ptr<Http2Connection>> OpenTls(
      uint16_t port, const http2::Tls& tls);
  ~Http2Connection();

  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;

  // Whether all was taken; false from when the server has closed, or has taken
  // nothing for ten seconds.
  bool Send(absl::string_view bytes);

  // The same for a DATA frame, once the connection's window has room for it.
  // That of the stream, which has 65,535 bytes to begin with, is the caller's
  // affair.
  bool SendData(uint32_t stream, absl::string_view payload);

 private:
  explicit Http2Connection(int fd) : fd_(fd) {}
  absl::Status Handshake(const http2::Tls& tls);
  absl::Status SendPreface();
  // Bytes that were taken; 0: none for now; below 0: the server has closed.
  ssize_t TrySend(absl::string_view bytes);
  // False when the server has closed.
  bool Drain();
  void Read(absl::string_view bytes);

  const int fd_;
  SSL* tls_ = nullptr;
  size_t window_ = 65'535;  // RFC 9113, section 6.9.2
  std::string unread_;      // the beginning of a frame
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_HTTP2_CONNECTION_H_
