// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel's nf_tables sends.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <vector>

#include "kernel/linux/nftables/nft_expression.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_userdata.h"

namespace nfmeter::kernel {
namespace {

void ReadRule(const NftRuleInfo& rule) {
  for (const Family family : kAllFamilies) {
    ReadNftRuleOf(
        family, Table::kFilter, "INPUT", rule,
        [](const std::string&) -> std::optional<std::vector<NftElement>> {
          return std::vector<NftElement>{{std::string("\0\0", 2), true},
                                         {"\x50\x50"}};
        });
  }
  ReadNftComment(rule.userdata);
  ReadNftEntry(NftEntry::kWords, rule.userdata);
  // What is known of a rule is read the same again.
  std::vector<NftExpression> known;
  for (NftExpression& expression : ReadNftExpressions(rule.expressions)) {
    const auto* lookup = std::get_if<NftLookup>(&expression);
    if (!std::holds_alternative<NftUnknown>(expression) && lookup == nullptr) {
      known.push_back(std::move(expression));
    }
  }
  std::string bytes;
  AttributeWriter writer(bytes);
  AppendNftExpressions(known, writer);
  if (bytes.size() > UINT16_MAX) return;
  const ByteSpan payload(reinterpret_cast<const uint8_t*>(bytes.data()) + 4,
                         bytes.size() - 4);
  if (ReadNftExpressions(payload) != known) abort();
}

}  // namespace
}  // namespace nfmeter::kernel

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nfmeter::kernel;
  NftMessageReader reader({data, size});
  while (const NftMessage* message = reader.Next()) {
    NftObjectInfo object;
    std::string scratch;
    if (ReadNftObject(message->attributes, object)) {
      const absl::string_view name = CounterNameOf(object.name, scratch);
      if (!name.empty() && NftObjectName(name) != object.name) abort();
    }
    ReadNftGeneration(message->attributes);
    ReadNftTable(message->attributes);
    ReadNftChain(message->attributes);
    ReadNftSet(message->attributes);
    std::vector<NftElement> elements;
    ReadNftElements(message->attributes, elements);
    if (const auto rule = ReadNftRule(message->attributes)) ReadRule(*rule);
  }
  return 0;
}
