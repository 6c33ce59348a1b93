// SPDX-License-Identifier: GPL-3.0-or-later
// Which legacy tables there are, without making any.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_TABLE_PRESENCE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_TABLE_PRESENCE_H_

#include <string>

#include "absl/status/status.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// To ask the kernel about a table by its socket options, even for its size,
// brings it into being (xt_find_table_lock() in net/netfilter/x_tables.c), with
// hooks that each packet passes from then on, and iptables-nft warns of it. So
// whoever reads looks first.
enum class TablePresence {
  kAbsent,   // nobody has used it: its built-in chains are empty
  kPresent,  // it may be read
  // Not to be known by this process, so it must not be read.
  kUnknown,
};

// What /proc/net/ip_tables_names, or ip6_tables_names, says of the table in the
// network namespace of the calling thread. The file is root's and its group's
// alone; those who can't read it know of the tables that they saw themselves
// (NoteTablePresent()). Thread-safe.
TablePresence PresenceOfTable(Family family, Table table);

// The table was read or changed in the network namespace of the calling thread.
// It stays until its module is unloaded. Thread-safe.
void NoteTablePresent(Family family, Table table);

// PERMISSION_DENIED, TABLE_NOT_VISIBLE: the answer to requests for a table
// whose presence is not known.
absl::Status TableNotVisible(Family family, Table table);

// Families whose tables this process can't see, in a sentence for people; empty
// when it can see all.
std::string InvisibleTablesNotice();

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_TABLE_PRESENCE_H_
