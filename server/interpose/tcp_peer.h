// SPDX-License-Identifier: GPL-3.0-or-later
// The other end of a connection over TCP.
#ifndef NFMETER_INTERPOSE_TCP_PEER_H_
#define NFMETER_INTERPOSE_TCP_PEER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace nfmeter::interpose {

// An address and a port, in words for people; IPv4 also where IPv6 carries it.
class TcpPeer {
 public:
  static bool Is(const sockaddr_storage& address) {
    return address.ss_family == AF_INET || address.ss_family == AF_INET6;
  }

  // Only of an address that it Is().
  explicit TcpPeer(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
      port_ = ntohs(v4.sin_port);
      SetV4(&v4.sin_addr);
      return;
    }
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    port_ = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      SetV4(&v6.sin6_addr.s6_addr[12]);
    } else {
      address_ = v6.sin6_addr;
    }
  }

  bool is_loopback() const {
    return is_v4_ ? address_.s6_addr[0] == IN_LOOPBACKNET
                  : IN6_IS_ADDR_LOOPBACK(&address_);
  }

  // "192.0.2.1", "2001:db8::1".
  std::string Host() const { return Text(address_); }
  // "192.0.2.1:80", "[2001:db8::1]:80".
  std::string HostAndPort() const {
    return is_v4_ ? absl::StrCat(Host(), ":", port_)
                  : absl::StrCat("[", Host(), "]:", port_);
  }

  // What an attacker has only one of: the address, or the /64 of one of IPv6,
  // "2001:db8::/64".
  std::string Network() const {
    if (is_v4_) return Host();
    in6_addr prefix = address_;
    memset(&prefix.s6_addr[8], 0, 8);
    return absl::StrCat(Text(prefix), "/64");
  }

 private:
  void SetV4(const void* bytes) {
    is_v4_ = true;
    memcpy(&address_, bytes, sizeof(in_addr));
  }

  std::string Text(const in6_addr& address) const {
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(is_v4_ ? AF_INET : AF_INET6, &address, text, sizeof(text));
    return text;
  }

  in6_addr address_{};  // its first bytes for one of IPv4
  bool is_v4_ = false;
  uint16_t port_ = 0;
};

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_TCP_PEER_H_
