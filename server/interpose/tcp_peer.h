// SPDX-License-Identifier: GPL-3.0-or-later
// The other end of a connection over TCP.
#ifndef NFMETER_INTERPOSE_TCP_PEER_H_
#define NFMETER_INTERPOSE_TCP_PEER_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace nfmeter::interpose {

// An address and a port, in words for people; IPv4 also where IPv6 carries it.
class TcpPeer {
 public:
  static bool Is(const sockaddr_storage& address) {
    return address.ss_family == AF_INET || address.ss_family == AF_INET6;
  }

  // Only of an address that it Is().
  explicit TcpPeer(const sockaddr_storage& address);

  bool is_loopback() const {
    return is_v4_ ? address_.s6_addr[0] == IN_LOOPBACKNET
                  : IN6_IS_ADDR_LOOPBACK(&address_);
  }
  // "192.0.2.1", "2001:db8::1".
  std::string Host() const { return Text(address_); }
  // "192.0.2.1:80", "[2001:db8::1]:80".
  std::string HostAndPort() const;
  // What an attacker has only one of: the address, or the /64 of one of IPv6,
  // "2001:db8::/64".
  std::string Network() const;

 private:
  void SetV4(const void* bytes);
  std::string Text(const in6_addr& address) const;

  in6_addr address_{};  // its first bytes for one of IPv4
  bool is_v4_ = false;
  uint16_t port_ = 0;
};

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_TCP_PEER_H_
