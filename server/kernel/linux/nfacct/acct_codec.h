// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes <-> requests and answers of the kernel's nfnetlink_acct. Pure: no
// system calls, and nothing outside the given spans is read.
//
// Layout: include/uapi/linux/netfilter/nfnetlink_acct.h; all numbers inside
// attributes are big-endian.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_ACCT_CODEC_H_
#define NFMETER_KERNEL_LINUX_NFACCT_ACCT_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"

namespace nfmeter::kernel {

// No record is longer: headers 20, name 36, packets, bytes and quota 12 each
// (16 where the architecture pads), use count and flags 8 each make 108 to 120.
inline constexpr size_t kAcctRecordMaxBytes = 128;

// Each appends one request to `out`, about NfacctName() of the counter. Names
// must satisfy IsAcctName: a deletion without a name would delete everything
// that is free. What comes back has nfacct's names.

// Answered by one acknowledgement.
void AppendAcctCreate(const AcctObject& object, uint32_t sequence,
                      std::string& out);
void AppendAcctDelete(absl::string_view name, uint32_t sequence,
                      std::string& out);
// Of kernels with AcctFeatures.replace: another quota for an object that is
// there; its values stay.
void AppendAcctSetQuota(absl::string_view name,
                        const std::optional<QuotaLimit>& quota,
                        uint32_t sequence, std::string& out);
// Answered by one record or one error.
void AppendAcctGet(absl::string_view name, uint32_t sequence, std::string& out);
void AppendAcctGetAndReset(absl::string_view name, uint32_t sequence,
                           std::string& out);
// Answered by one kFeatures, or by an error (EINVAL) where there are none.
void AppendAcctGetFeatures(uint32_t sequence, std::string& out);
// Answered by records and a kDone.
void AppendAcctDump(AcctDumpFilter filter, uint32_t sequence, std::string& out);

// One message from the kernel.
struct AcctMessage {
  enum class Kind {
    kRecord,    // `record` is set
    kFeatures,  // `features` is set
    kError,     // `err` is set; 0 acknowledges
    kDone,      // the end of a dump; `err` is set, 0 when it went well
    kOther,     // not for us, or not readable as any of these
  };
  Kind kind = Kind::kOther;
  uint32_t sequence = 0;
  bool dump_interrupted = false;  // NLM_F_DUMP_INTR
  int err = 0;                    // positive errno
  AcctRecord record;              // its name lies in the datagram
  AcctFeatures features;
};

// Walks over the messages of one datagram, which must outlive it. Attributes
// that are unknown or have an unexpected size are passed over; a record without
// a name is kOther. The walk ends at the first message whose length is
// impossible.
class AcctMessageReader {
 public:
  explicit AcctMessageReader(absl::Span<const uint8_t> datagram)
      : rest_(datagram) {}

  // The next message, which stands until the one after it is asked for; null
  // at the end.
  const AcctMessage* Next();

  // The walk ended before the datagram did.
  bool malformed() const { return malformed_; }

 private:
  // The next message's bytes; none at the end.
  absl::Span<const uint8_t> rest_;
  // Filled anew by each Next(): in a dump of thousands, making one for each
  // record takes as long as reading it.
  AcctMessage message_;
  bool malformed_ = false;
};

// A new name, ".nfmeterd.tail." and 16 random hexadecimal digits.
std::string NewAcctTailName();

// Whether a name has that form.
bool IsAcctTailName(absl::string_view name);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_ACCT_CODEC_H_
