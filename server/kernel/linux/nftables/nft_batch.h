// SPDX-License-Identifier: GPL-3.0-or-later
// A transaction of nf_tables under construction. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_BATCH_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"
#include "kernel/linux/nftables/nft_expression.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The one table of nfmeter's, of family inet.
inline constexpr absl::string_view kNftTable = "nfmeter";
// The same for people.
inline constexpr char kNftTableSubject[] = "table inet nfmeter";

// NFT_TABLE_F_*; persistent ones since Linux 6.9.
inline constexpr uint32_t kNftTableOwner = 0x2;
inline constexpr uint32_t kNftTablePersist = 0x4;

// What says in the table's userdata whose it is.
inline constexpr absl::string_view kNftTableMark = "nfmeter";

// Places in the network stack (NF_INET_*; their header can't be had beside
// <netinet/in.h>).
enum class NftHookPoint : uint32_t {
  kPrerouting = 0,
  kInput = 1,
  kForward = 2,
  kOutput = 3,
  kPostrouting = 4,
};

// Where a base chain gets its packets.
struct NftHook {
  NftHookPoint point = NftHookPoint::kInput;
  int32_t priority = 0;
  absl::string_view type = "filter";  // "filter", "nat"

  friend bool operator==(const NftHook&, const NftHook&) = default;
};

// A rule as the kernel keeps it.
struct NftRuleBytes {
  std::vector<NftExpression> expressions;
  std::string userdata;
};

// Messages that the kernel carries out all or none. NftErrors name a message by
// its place, from 0: the size() before it was added.
class NftBatch {
 public:
  // About one table of family inet; ours but for probes.
  explicit NftBatch(absl::string_view table = kNftTable) : table_(table) {}

  // Makes the table itself, with these flags. OK where it is there.
  void AddTable(uint32_t flags);
  void DeleteTable();

  // A counter with its values; and its quota, an object of the same name, to go
  // before it. Fails with EEXIST where there is one. `userdata`: see
  // nft_userdata.h; empty: none.
  void AddCounter(absl::string_view object, uint64_t packets, uint64_t bytes,
                  absl::string_view userdata);
  void AddQuota(absl::string_view object, uint64_t limit, uint64_t consumed);
  // Gives a quota that is there another limit; what it has consumed stays.
  void SetQuota(absl::string_view object, uint64_t limit);
  void DeleteCounter(absl::string_view object);
  void DeleteQuota(absl::string_view object);

  // A base chain with policy accept. OK where it is there.
  void AddChain(absl::string_view chain, const NftHook& hook);
  // One that gets packets from other chains alone. OK where it is there.
  void AddChain(absl::string_view chain);
  void DeleteChain(absl::string_view chain);

  // An anonymous set for the next rule, which names it by `id`: that of
  // NftLookup. Its elements are ranges of its keys, which are numbers of
  // `key_bytes`, big-endian, or values of the host's if `host_order`.
  struct Set {
    uint32_t id = 0;
    uint32_t key_type = 0;  // nft's own number of the type, for its listing
    uint32_t key_bytes = 0;
    bool host_order = false;
    std::vector<Range<uint32_t>> elements;  // apart, by rising first
  };
  void AddSet(const Set& set);

  // A named map from keys to objects, or a set of keys, empty. OK where it is
  // there.
  struct Map {
    std::string name;
    uint32_t key_type = 0;  // nft's own number of the type, for its listing
    uint32_t key_bytes = 0;
    bool host_order = false;
    uint32_t objects = 0;  // their type; 0: a set

    friend bool operator==(const Map&, const Map&) = default;
  };
  void AddMap(const Map& map);
  void DeleteMap(absl::string_view map);
  struct MapElement {
    std::string key;     // as it lies in the register
    std::string object;  // empty: of a set

    friend bool operator==(const MapElement&, const MapElement&) = default;
  };
  // As many messages as that takes. An element must not be there with another
  // object, and to be deleted must be there.
  void AddElements(absl::string_view map,
                   absl::Span<const MapElement> elements);
  void DeleteElements(absl::string_view map,
                      absl::Span<const MapElement> elements);

  // Where a rule goes in its chain.
  struct Place {
    enum class Kind { kHead, kTail, kBefore, kBeforeNew };
    Kind kind = Kind::kTail;
    uint64_t rule = 0;  // handle, or number of one of this batch
  };
  // `number`: by which other rules of this batch can name it; not 0.
  void AddRule(absl::string_view chain, const NftRuleBytes& rule,
               uint32_t number, const Place& place);
  void DeleteRule(absl::string_view chain, uint64_t handle);

  // Messages so far.
  size_t size() const { return starts_.size(); }
  bool empty() const { return starts_.empty(); }
  // Bytes that a send takes.
  size_t bytes() const;

  // Whether quotas are made or changed.
  bool sets_quotas() const { return sets_quotas_; }

  // The whole transaction. With `generation` it is refused (ERESTART) when the
  // kernel's is another. Without `commit` the kernel checks all and then drops
  // it, as `nft -c` does.
  std::string Encode(std::optional<uint32_t> generation, bool commit) const;

  // The sequence numbers in it: of the frame, and of message i.
  static constexpr uint32_t kFrameSequence = 1;
  static constexpr uint32_t SequenceOf(size_t message) {
    return static_cast<uint32_t>(message) + kFrameSequence + 1;
  }

 private:
  class Message;

  void PutQuota(uint16_t flags, absl::string_view object, uint64_t limit,
                uint64_t consumed);
  void PutMapElements(int command, absl::string_view map,
                      absl::Span<const MapElement> elements);

  std::string table_;
  std::string messages_;
  std::vector<size_t> starts_;
  bool sets_quotas_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_BATCH_H_
