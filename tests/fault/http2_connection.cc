// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/http2_connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace nfmeter::testing {
namespace http2 {
namespace {

void AppendBigEndian(std::string& out, uint32_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<char>(value >> (8 * i)));
  }
}

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream,
                  absl::string_view payload) {
  std::string frame;
  AppendBigEndian(frame, static_cast<uint32_t>(payload.size()), 3);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  AppendBigEndian(frame, stream, 4);
  frame.append(payload.data(), payload.size());
  return frame;
}

std::string Header(absl::string_view name, absl::string_view value) {
  // Lengths below 127 are one byte.
  std::string header(1, '\0');
  header.push_back(static_cast<char>(name.size()));
  absl::StrAppend(&header, name);
  header.push_back(static_cast<char>(value.size()));
  absl::StrAppend(&header, value);
  return header;
}

std::string CallHeaders(absl::string_view path) {
  return absl::StrCat(Header(":method", "POST"), Header(":scheme", "http"),
                      Header(":path", path), Header(":authority", "localhost"),
                      Header("content-type", "application/grpc"),
                      Header("te", "trailers"));
}

}  // namespace http2

namespace {
constexpr int kTimeoutMs = 10'000;
}  // namespace

absl::Status Http2Connection::SendPreface() {
  fcntl(fd_, F_SETFL, O_NONBLOCK);
  if (!Send(absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                         http2::Frame(http2::kSettings, 0, 0, "")))) {
    return absl::UnavailableError("the preface was not taken");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Http2Connection>> Http2Connection::Open(
    const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, socket_path.data(), socket_path.size());
  auto connection = std::unique_ptr<Http2Connection>(
      new Http2Connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (connect(connection->fd_, reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return absl::UnavailableError(strerror(errno));
  }
  if (const absl::Status sent = connection->SendPreface(); !sent.ok()) {
    return sent;
  }
  return connection;
}

absl::StatusOr<std::unique_ptr<Http2Connection>> Http2Connection::OpenTls(
    uint16_t port, const http2::Tls& tls) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto connection = std::unique_ptr<Http2Connection>(
      new Http2Connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (connect(connection->fd_, reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return absl::UnavailableError(strerror(errno));
  }
  absl::Status status = connection->Handshake(tls);
  if (status.ok()) status = connection->SendPreface();
  if (!status.ok()) return status;
  return connection;
}

absl::Status Http2Connection::Handshake(const http2::Tls& tls) {
  // OpenSSL writes without MSG_NOSIGNAL.
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_load_verify_locations(context, tls.ca.c_str(), nullptr);
  SSL_CTX_use_certificate_chain_file(context, tls.certificate.c_str());
  SSL_CTX_use_PrivateKey_file(context, tls.key.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  tls_ = SSL_new(context);
  SSL_CTX_free(context);
  const unsigned char protocols[] = {2, 'h', '2'};
  SSL_set_alpn_protos(tls_, protocols, sizeof(protocols));
  SSL_set_fd(tls_, fd_);
  if (SSL_connect(tls_) == 1) return absl::OkStatus();
  ERR_clear_error();
  return absl::UnavailableError("TLS handshake");
}

Http2Connection::~Http2Connection() {
  SSL_free(tls_);
  close(fd_);
}

bool Http2Connection::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready = {fd_, POLLIN | POLLOUT, 0};
    if (poll(&ready, 1, kTimeoutMs) <= 0) return false;
    if ((ready.revents & POLLIN) != 0 && !Drain()) return false;
    if ((ready.revents & POLLOUT) == 0) {
      if ((ready.revents & (POLLHUP | POLLERR)) != 0) return false;
      continue;
    }
    const ssize_t sent = TrySend(bytes);
    if (sent < 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

bool Http2Connection::SendData(uint32_t stream, absl::string_view payload) {
  while (window_ < payload.size()) {
    pollfd ready = {fd_, POLLIN, 0};
    if (poll(&ready, 1, kTimeoutMs) <= 0 || !Drain()) return false;
  }
  window_ -= payload.size();
  return Send(http2::Frame(http2::kData, 0, stream, payload));
}

void Http2Connection::Read(absl::string_view bytes) {
  constexpr size_t kHeaderSize = 9;
  absl::StrAppend(&unread_, bytes);
  absl::string_view left = unread_;
  while (left.size() >= kHeaderSize) {
    const size_t size = kHeaderSize + http2::BigEndian(left.substr(0, 3));
    if (left.size() < size) break;
    if (left[3] == http2::kWindowUpdate &&
        http2::BigEndian(left.substr(5, 4)) == 0) {
      window_ += http2::BigEndian(left.substr(kHeaderSize, 4));
    }
    left.remove_prefix(size);
  }
  unread_.erase(0, unread_.size() - left.size());
}

ssize_t Http2Connection::TrySend(absl::string_view bytes) {
  if (tls_ != nullptr) {
    ERR_clear_error();
    const int sent =
        SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()));
    if (sent > 0) return sent;
    const int error = SSL_get_error(tls_, sent);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0
                                                                         : -1;
  }
  const ssize_t sent =
      send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

bool Http2Connection::Drain() {
  char waste[65536];
  if (tls_ != nullptr) {
    ERR_clear_error();
    int got;
    while ((got = SSL_read(tls_, waste, sizeof(waste))) > 0) {
      Read({waste, static_cast<size_t>(got)});
    }
    return SSL_get_error(tls_, got) == SSL_ERROR_WANT_READ;
  }
  ssize_t got;
  while ((got = recv(fd_, waste, sizeof(waste), MSG_DONTWAIT)) > 0) {
    Read({waste, static_cast<size_t>(got)});
  }
  return got < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace nfmeter::testing
