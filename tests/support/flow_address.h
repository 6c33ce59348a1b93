// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_TESTS_SUPPORT_FLOW_ADDRESS_H_
#define NFMETER_TESTS_SUPPORT_FLOW_ADDRESS_H_

#include <arpa/inet.h>

#include <string>

#include "gtest/gtest.h"
#include "kernel/flow_types.h"

namespace nfmeter::testing {

// An address of a flow by its text, IPv4 or IPv6.
inline kernel::FlowAddress AddressOf(const std::string& text) {
  kernel::FlowAddress address{};
  const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  EXPECT_EQ(inet_pton(family, text.c_str(), address.data()), 1) << text;
  return address;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_FLOW_ADDRESS_H_
