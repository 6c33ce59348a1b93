// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/tcp_peer.h"

#include <arpa/inet.h>

#include <string>

#include "gmock/gmock.h"

namespace nfmeter::interpose {
namespace {

TcpPeer V4(const char* host) {
  sockaddr_storage address{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(443);
  EXPECT_EQ(inet_pton(AF_INET, host, &v4.sin_addr), 1);
  return TcpPeer(address);
}

TcpPeer V6(const char* host) {
  sockaddr_storage address{};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(443);
  EXPECT_EQ(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);
  return TcpPeer(address);
}

TEST(TcpPeerTest, AnAddressOfIpv4IsANetworkOfItsOwn) {
  const TcpPeer peer = V4("192.0.2.1");
  EXPECT_EQ(peer.Host(), "192.0.2.1");
  EXPECT_EQ(peer.HostAndPort(), "192.0.2.1:443");
  EXPECT_EQ(peer.Network(), "192.0.2.1");
  EXPECT_FALSE(peer.is_loopback());
}

TEST(TcpPeerTest, OfIpv6TheFirstHalfIsTheNetwork) {
  const TcpPeer peer = V6("2001:db8:1:2:3:4:5:6");
  EXPECT_EQ(peer.HostAndPort(), "[2001:db8:1:2:3:4:5:6]:443");
  EXPECT_EQ(peer.Network(), "2001:db8:1:2::/64");
  EXPECT_EQ(V6("2001:db8:1:2:ffff::").Network(), peer.Network());
  EXPECT_NE(V6("2001:db8:1:3::").Network(), peer.Network());
}

TEST(TcpPeerTest, Ipv4InIpv6IsIpv4) {
  const TcpPeer peer = V6("::ffff:192.0.2.1");
  EXPECT_EQ(peer.HostAndPort(), "192.0.2.1:443");
  EXPECT_EQ(peer.Network(), V4("192.0.2.1").Network());
  EXPECT_FALSE(peer.is_loopback());
}

TEST(TcpPeerTest, KnowsThisHost) {
  EXPECT_TRUE(V4("127.0.0.1").is_loopback());
  EXPECT_TRUE(V4("127.9.9.9").is_loopback());
  EXPECT_TRUE(V6("::1").is_loopback());
  EXPECT_TRUE(V6("::ffff:127.0.0.1").is_loopback());
  EXPECT_FALSE(V6("7f00::").is_loopback());
}

TEST(TcpPeerTest, OtherSocketsHaveNone) {
  sockaddr_storage address{};
  EXPECT_FALSE(TcpPeer::Is(address));
  address.ss_family = AF_UNIX;
  EXPECT_FALSE(TcpPeer::Is(address));
}

}  // namespace
}  // namespace nfmeter::interpose
