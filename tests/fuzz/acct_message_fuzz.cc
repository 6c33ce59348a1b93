// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel's nfnetlink_acct sends.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernel/linux/nfacct/acct_codec.h"
#include "kernel/linux/nfacct/acct_dump_end.h"

using nfmeter::kernel::AcctMessage;
using nfmeter::kernel::AcctMessageReader;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  AcctMessageReader reader({data, size});
  const auto* const begin = reinterpret_cast<const char*>(data);
  while (const AcctMessage* message = reader.Next()) {
    if (message->kind != AcctMessage::Kind::kRecord) continue;
    const auto& name = message->record.name;
    if (name.empty() || name.data() < begin ||
        name.data() + name.size() > begin + size) {
      abort();
    }
  }
  return 0;
}
