// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/tcp_peer.h"

#include <arpa/inet.h>
#include <string.h>

#include "absl/strings/str_cat.h"

namespace nfmeter::interpose {

TcpPeer::TcpPeer(const sockaddr_storage& address) {
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

std::string TcpPeer::HostAndPort() const {
  return is_v4_ ? absl::StrCat(Host(), ":", port_)
                : absl::StrCat("[", Host(), "]:", port_);
}

std::string TcpPeer::Network() const {
  if (is_v4_) return Host();
  in6_addr prefix = address_;
  memset(&prefix.s6_addr[8], 0, 8);
  return absl::StrCat(Text(prefix), "/64");
}

void TcpPeer::SetV4(const void* bytes) {
  is_v4_ = true;
  memcpy(&address_, bytes, sizeof(in_addr));
}

std::string TcpPeer::Text(const in6_addr& address) const {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(is_v4_ ? AF_INET : AF_INET6, &address, text, sizeof(text));
  return text;
}

}  // namespace nfmeter::interpose
