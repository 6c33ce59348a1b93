#include "tests/fault/http2_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

absl::StatusOr<std::unique_ptr<Http2Connection>> Http2Connection::Open(
    const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address),
                        sizeof(address)) != 0) {
    return absl::UnavailableError(strerror(errno));
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  auto connection = std::unique_ptr<Http2Connection>(new Http2Connection(fd));
  if (!connection->Send(
          absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                       http2::Frame(http2::kSettings, 0, 0, "")))) {
    return absl::UnavailableError("the preface was not taken");
  }
  return connection;
}

Http2Connection::~Http2Connection() { close(fd_); }

bool Http2Connection::Send(absl::string_view bytes) {
  constexpr int kTimeoutMs = 10'000;
  while (!bytes.empty()) {
    pollfd ready = {fd_, POLLIN | POLLOUT, 0};
    if (poll(&ready, 1, kTimeoutMs) <= 0) return false;
    if ((ready.revents & POLLIN) != 0 && !Drain()) return false;
    if ((ready.revents & POLLOUT) == 0) {
      if ((ready.revents & (POLLHUP | POLLERR)) != 0) return false;
      continue;
    }
    const ssize_t sent =
        send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(sent);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  }
  return true;
}

bool Http2Connection::Drain() {
  char waste[65536];
  ssize_t got;
  while ((got = recv(fd_, waste, sizeof(waste), MSG_DONTWAIT)) > 0) {
  }
  return got < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace nfmeter::testing
