// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of nf_tables that count packets of acct_traffic.h into named counters.
#ifndef NFMETER_TESTS_CONFORMANCE_NFT_TRAFFIC_H_
#define NFMETER_TESTS_CONFORMANCE_NFT_TRAFFIC_H_

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_table.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {

// Each port has a chain of its own, so that its rule goes away with it.
inline std::string NftChainOfPort(uint16_t port) {
  return "port" + std::to_string(port);
}

// Counts packets that are sent to a UDP port into a counter, and asks its quota
// if it has one.
inline void NftCountPort(kernel::NftTable& table, uint16_t port,
                         const std::string& counter, bool quota) {
  const uint16_t big_endian = htons(port);
  const std::string object = kernel::NftObjectName(counter);
  kernel::NftRuleBytes rule = {
      .expressions = {
          kernel::NftMeta{NFT_META_L4PROTO},
          kernel::NftCompare{NFT_CMP_EQ, std::string(1, IPPROTO_UDP)},
          kernel::NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2},
          kernel::NftCompare{
              NFT_CMP_EQ,
              std::string(reinterpret_cast<const char*>(&big_endian), 2)},
          kernel::NftObject{
              static_cast<uint32_t>(kernel::NftObjectType::kCounter), object}}};
  if (quota) {
    rule.expressions.push_back(kernel::NftObject{
        static_cast<uint32_t>(kernel::NftObjectType::kQuota), object});
  }
  kernel::NftBatch batch = table.NewBatch();
  batch.AddChain(NftChainOfPort(port),
                 {.point = kernel::NftHookPoint::kOutput, .priority = -1});
  batch.AddRule(NftChainOfPort(port), rule, 1, {});
  ASSERT_OK(table.Commit(batch));
}

inline void NftForgetPort(kernel::NftTable& table, uint16_t port) {
  kernel::NftBatch batch = table.NewBatch();
  batch.DeleteChain(NftChainOfPort(port));
  ASSERT_OK(table.Commit(batch));
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_CONFORMANCE_NFT_TRAFFIC_H_
