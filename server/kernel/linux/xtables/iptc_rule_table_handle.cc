// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/iptc_rule_table_handle.h"

#include <errno.h>
#include <libiptc/libiptc.h>
// Unlike the other one, this header does not say that it is C (1.8.9).
extern "C" {
#include <libiptc/libip6tc.h>
}
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "base/unique_fd.h"
#include "kernel/errno_status.h"
#include "kernel/linux/xtables/table_presence.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// The same functions under two names.
struct Ip4 {
  using Entry = ipt_entry;
  static constexpr auto* kInit = iptc_init;
  static constexpr auto* kFree = iptc_free;
  static constexpr auto* kFirstChain = iptc_first_chain;
  static constexpr auto* kNextChain = iptc_next_chain;
  static constexpr auto* kFirstRule = iptc_first_rule;
  static constexpr auto* kNextRule = iptc_next_rule;
  static constexpr auto* kTarget = iptc_get_target;
  static constexpr auto* kPolicy = iptc_get_policy;
  static constexpr auto* kReferences = iptc_get_references;
  static constexpr auto* kInsert = iptc_insert_entry;
  static constexpr auto* kAppend = iptc_append_entry;
  static constexpr auto* kDelete = iptc_delete_num_entry;
  static constexpr auto* kCreateChain = iptc_create_chain;
  static constexpr auto* kDeleteChain = iptc_delete_chain;
  static constexpr auto* kFlush = iptc_flush_entries;
  static constexpr auto* kCommit = iptc_commit;
  static constexpr int kDomain = AF_INET;
  static constexpr int kLevel = IPPROTO_IP;
  static constexpr int kAddCounters = IPT_SO_SET_ADD_COUNTERS;
};

struct Ip6 {
  using Entry = ip6t_entry;
  static constexpr auto* kInit = ip6tc_init;
  static constexpr auto* kFree = ip6tc_free;
  static constexpr auto* kFirstChain = ip6tc_first_chain;
  static constexpr auto* kNextChain = ip6tc_next_chain;
  static constexpr auto* kFirstRule = ip6tc_first_rule;
  static constexpr auto* kNextRule = ip6tc_next_rule;
  static constexpr auto* kTarget = ip6tc_get_target;
  static constexpr auto* kPolicy = ip6tc_get_policy;
  static constexpr auto* kReferences = ip6tc_get_references;
  static constexpr auto* kInsert = ip6tc_insert_entry;
  static constexpr auto* kAppend = ip6tc_append_entry;
  static constexpr auto* kDelete = ip6tc_delete_num_entry;
  static constexpr auto* kCreateChain = ip6tc_create_chain;
  static constexpr auto* kDeleteChain = ip6tc_delete_chain;
  static constexpr auto* kFlush = ip6tc_flush_entries;
  static constexpr auto* kCommit = ip6tc_commit;
  static constexpr int kDomain = AF_INET6;
  static constexpr int kLevel = IPPROTO_IPV6;
  static constexpr int kAddCounters = IP6T_SO_SET_ADD_COUNTERS;
};

// libiptc returns 0 for a failure; its errno 0 means that its own version does
// not fit the kernel's.
int ErrnoUnless(int done) {
  if (done != 0) return 0;
  return errno != 0 ? errno : EINVAL;
}

template <typename Ip>
class HandleOf : public IptcHandle {
 public:
  using Entry = typename Ip::Entry;

  HandleOf(const std::string& table, xtc_handle* handle)
      : table_(table), handle_(handle, Ip::kFree) {}

  void ForEachChain(
      absl::FunctionRef<void(const IptcChain&)> on_chain) override {
    for (const char* name = Ip::kFirstChain(handle_.get()); name != nullptr;
         name = Ip::kNextChain(handle_.get())) {
      IptcChain chain{.name = name};
      xt_counters counters = {};
      // Only built-in chains have one.
      if (const char* policy = Ip::kPolicy(name, &counters, handle_.get())) {
        chain.builtin = true;
        chain.policy = policy;
        chain.packets = counters.pcnt;
        chain.bytes = counters.bcnt;
      }
      unsigned references = 0;
      if (Ip::kReferences(&references, name, handle_.get()) != 0) {
        chain.references = references;
      }
      on_chain(chain);
    }
  }

  void ForEachRule(absl::string_view chain,
                   absl::FunctionRef<void(const IptcRule&)> on_rule) override {
    const std::string name(chain);
    for (const Entry* entry = Ip::kFirstRule(name.c_str(), handle_.get());
         entry != nullptr; entry = Ip::kNextRule(entry, handle_.get())) {
      const char* target = Ip::kTarget(entry, handle_.get());
      on_rule({.entry = {reinterpret_cast<const uint8_t*>(entry),
                         entry->next_offset},
               .target = target != nullptr ? target : "",
               .packets = entry->counters.pcnt,
               .bytes = entry->counters.bcnt});
    }
  }

  int Insert(const std::string& chain, uint32_t position,
             const uint8_t* entry) override {
    return ErrnoUnless(Ip::kInsert(chain.c_str(),
                                   reinterpret_cast<const Entry*>(entry),
                                   position - 1, handle_.get()));
  }

  int Append(const std::string& chain, const uint8_t* entry) override {
    return ErrnoUnless(Ip::kAppend(
        chain.c_str(), reinterpret_cast<const Entry*>(entry), handle_.get()));
  }

  int Delete(const std::string& chain, uint32_t position) override {
    return ErrnoUnless(Ip::kDelete(chain.c_str(), position - 1, handle_.get()));
  }

  int CreateChain(const std::string& chain) override {
    return ErrnoUnless(Ip::kCreateChain(chain.c_str(), handle_.get()));
  }

  int DeleteChain(const std::string& chain) override {
    return ErrnoUnless(Ip::kDeleteChain(chain.c_str(), handle_.get()));
  }

  int Flush(const std::string& chain) override {
    return ErrnoUnless(Ip::kFlush(chain.c_str(), handle_.get()));
  }

  // libiptc keeps the counters of rules, but those of policies restart from
  // what was counted since the table was read (COUNTER_MAP_ZEROED in
  // __iptcc_p_del_policy(), libiptc 1.8.9). Adding what was read makes them
  // whole again, packets of the meantime included.
  int Commit() override {
    const std::vector<xt_counters> policies = PolicyCounters();
    const int err = ErrnoUnless(Ip::kCommit(handle_.get()));
    return err != 0 ? err : AddCounters(policies);
  }

 private:
  // As many as the table has entries once it is committed, all zero but for the
  // policies. libiptc lays out chain after chain: an entry that names it (user
  // chains only), its rules, its policy; and one entry more at the end
  // (iptcc_compile_table()). Empty when there is nothing to add.
  std::vector<xt_counters> PolicyCounters() {
    std::vector<xt_counters> all;
    bool any = false;
    ForEachChain([&](const IptcChain& chain) {
      size_t entries = chain.builtin ? 1 : 2;
      ForEachRule(chain.name, [&](const IptcRule&) { ++entries; });
      all.resize(all.size() + entries);
      all.back() = {.pcnt = chain.packets, .bcnt = chain.bytes};
      any = any || chain.packets != 0 || chain.bytes != 0;
    });
    all.emplace_back();
    return any ? all : std::vector<xt_counters>();
  }

  // EINVAL: the table has another number of entries by now.
  int AddCounters(const std::vector<xt_counters>& counters) {
    if (counters.empty()) return 0;
    xt_counters_info info = {};
    table_.copy(info.name, sizeof(info.name) - 1);
    info.num_counters = counters.size();
    const size_t counters_size = counters.size() * sizeof(xt_counters);
    std::vector<uint8_t> request(sizeof(info) + counters_size);
    memcpy(request.data(), &info, sizeof(info));
    memcpy(request.data() + sizeof(info), counters.data(), counters_size);
    const UniqueFd fd(
        socket(Ip::kDomain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    if (!fd.valid()) return errno;
    const int result = setsockopt(fd.get(), Ip::kLevel, Ip::kAddCounters,
                                  request.data(), request.size());
    return result == 0 ? 0 : errno;
  }

  const std::string table_;
  const std::unique_ptr<xtc_handle, void (*)(xtc_handle*)> handle_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<IptcHandle>> IptcHandle::Open(Family family,
                                                             Table table) {
  const std::string name(TableName(table));
  xtc_handle* handle = family == Family::kIpv4 ? Ip4::kInit(name.c_str())
                                               : Ip6::kInit(name.c_str());
  if (handle == nullptr) {
    return ErrnoStatus(Operation::kRuleRead, errno != 0 ? errno : EINVAL,
                       TableSubject(family, table));
  }
  NoteTablePresent(family, table);
  if (family == Family::kIpv4) {
    return std::make_unique<HandleOf<Ip4>>(name, handle);
  }
  return std::make_unique<HandleOf<Ip6>>(name, handle);
}

}  // namespace nfmeter::kernel
