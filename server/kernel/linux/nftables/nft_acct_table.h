// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting objects as named counters of nf_tables.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_TABLE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernel/acct_table.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/linux/nftables/nft_table.h"

namespace nfmeter::kernel {

// Counters of `table inet nfmeter`. A counter with a quota is two objects of
// one name: a quota of nf_tables counts bytes only, and not beyond its limit.
//
// Thread-safe. Several of them may share a table.
class NftAcctTable : public AcctTable {
 public:
  // `table` outlives this. `quota_buffer_bytes`: of each subscription; what
  // others change in their rulesets fills it, too.
  explicit NftAcctTable(NftTable& table, int quota_buffer_bytes = 64 << 20)
      : table_(table), quota_buffer_bytes_(quota_buffer_bytes) {}

  absl::Status Probe() override { return table_.Probe(); }
  absl::StatusOr<AcctFeatures> Features() override;

  // In as few transactions as the send buffer allows; one object that can't be
  // made does not hold up the others. UNIMPLEMENTED: QUOTA_NOT_EXPRESSIBLE, a
  // quota of packets; NFTABLES_UNAVAILABLE, this kernel has no quotas.
  std::vector<absl::Status> Create(
      absl::Span<const AcctObject> objects) override;
  absl::StatusOr<AcctObject> Get(absl::string_view name) override;
  // The kernel finds each by a hash.
  std::vector<absl::StatusOr<AcctObject>> GetEach(
      absl::Span<const std::string> names) override;
  // A counter and its quota are two steps: a packet between them counts for the
  // quota before the reset and for the counter after it.
  std::vector<absl::StatusOr<AcctObject>> GetAndReset(
      absl::Span<const std::string> names) override;
  std::vector<absl::Status> Delete(
      absl::Span<const std::string> names) override;

  // In place where there is a quota and is to be one. UNIMPLEMENTED: as
  // Create().
  absl::StatusOr<QuotaChange> SetQuota(absl::string_view name,
                                       const std::optional<QuotaLimit>& quota,
                                       bool dry_run) override;
  absl::Status Renew(const AcctObject& object) override;

  // How many counters there are is read from the table, so that it is known
  // whether all were handed out.
  absl::StatusOr<AcctDumpOutcome> Dump(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records)
      override;

  absl::StatusOr<std::unique_ptr<QuotaEvents>> WatchQuotas() override;

 private:
  using AppendFunction = void (*)(NftObjectType, absl::string_view, uint32_t,
                                  std::string&);

  // The counter is there, by a hash of its name perhaps.
  void Learn(absl::string_view name);
  // Asks for counter and quota of each.
  std::vector<absl::StatusOr<AcctObject>> Ask(
      absl::Span<const std::string> names, Operation operation,
      AppendFunction append);
  // Which of these have a quota; names that can't be have none.
  std::vector<bool> HaveQuotas(absl::Span<const std::string> names);
  // Carries out one change for each index from 0, together, but for those that
  // the kernel refuses. `add` adds its messages.
  void ChangeEach(size_t count, Operation operation,
                  absl::FunctionRef<void(size_t index, NftBatch& batch)> add,
                  absl::FunctionRef<absl::string_view(size_t index)> name,
                  std::vector<absl::Status>& statuses);

  NftTable& table_;
  const int quota_buffer_bytes_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_TABLE_H_
