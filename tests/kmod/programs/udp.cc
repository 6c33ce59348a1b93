// SPDX-License-Identifier: GPL-3.0-or-later
// Sends UDP packets and no more: `udp ADDRESS PORT COUNT BYTES [SOURCE-PORT]`.
// BYTES are those of the whole IP packet, as rules count them. A COUNT of 0
// sends some thousands a second until it is killed: a machine that is emulated
// does nothing else when it sends as fast as it can. Nobody needs to listen.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace {

constexpr size_t kUdpHeader = 8;
constexpr useconds_t kPauseMicroseconds = 200;

int Send(const sockaddr* to, socklen_t to_length, const std::string& payload,
         long count, const sockaddr* from) {
  const int fd = socket(to->sa_family, SOCK_DGRAM, 0);
  if (from != nullptr && bind(fd, from, to_length) != 0) {
    perror("udp: bind");
    return 1;
  }
  for (long sent = 0; count == 0 || sent < count;) {
    if (sendto(fd, payload.data(), payload.size(), 0, to, to_length) >= 0) {
      ++sent;
    } else if (errno != ECONNREFUSED) {  // that is the packet before's answer
      perror("udp: sendto");
      return 1;
    }
    if (count == 0) usleep(kPauseMicroseconds);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    fprintf(stderr, "usage: udp ADDRESS PORT COUNT BYTES [SOURCE-PORT]\n");
    return 2;
  }
  const uint16_t port = htons(atoi(argv[2]));
  const uint16_t source = argc == 6 ? htons(atoi(argv[5])) : 0;
  const size_t bytes = atoi(argv[4]);
  sockaddr_in v4{}, v4_from{};
  sockaddr_in6 v6{}, v6_from{};
  if (inet_pton(AF_INET, argv[1], &v4.sin_addr) == 1) {
    v4.sin_family = v4_from.sin_family = AF_INET;
    v4.sin_port = port;
    v4_from.sin_port = source;
    return Send(reinterpret_cast<sockaddr*>(&v4), sizeof(v4),
                std::string(bytes - 20 - kUdpHeader, 'x'), atol(argv[3]),
                source == 0 ? nullptr : reinterpret_cast<sockaddr*>(&v4_from));
  }
  if (inet_pton(AF_INET6, argv[1], &v6.sin6_addr) == 1) {
    v6.sin6_family = v6_from.sin6_family = AF_INET6;
    v6.sin6_port = port;
    v6_from.sin6_port = source;
    return Send(reinterpret_cast<sockaddr*>(&v6), sizeof(v6),
                std::string(bytes - 40 - kUdpHeader, 'x'), atol(argv[3]),
                source == 0 ? nullptr : reinterpret_cast<sockaddr*>(&v6_from));
  }
  fprintf(stderr, "udp: not an address: %s\n", argv[1]);
  return 2;
}
