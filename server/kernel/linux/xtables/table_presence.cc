// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/table_presence.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

constexpr char kProcNet[] = "/proc/thread-self/net";

std::string NamesFile(Family family) {
  return family == Family::kIpv4 ? "ip_tables_names" : "ip6_tables_names";
}

std::string NamesPath(Family family) {
  return absl::StrCat(kProcNet, "/", NamesFile(family));
}

// Tables that this process has seen, each in its network namespace.
class SeenTables {
 public:
  void Add(Family family, Table table) {
    absl::MutexLock lock(&mutex_);
    seen_.insert({NetworkNamespace(), family, table});
  }
  bool Has(Family family, Table table) {
    absl::MutexLock lock(&mutex_);
    return seen_.contains({NetworkNamespace(), family, table});
  }

 private:
  static uint64_t NetworkNamespace() {
    struct stat found = {};
    return stat("/proc/thread-self/ns/net", &found) == 0 ? found.st_ino : 0;
  }

  absl::Mutex mutex_;
  absl::flat_hash_set<std::tuple<uint64_t, Family, Table>> seen_
      ABSL_GUARDED_BY(mutex_);
};

SeenTables& Seen() {
  static SeenTables& seen = *new SeenTables;
  return seen;
}

}  // namespace

TablePresence PresenceOfTable(Family family, Table table) {
  const std::unique_ptr<FILE, int (*)(FILE*)> names(
      fopen(NamesPath(family).c_str(), "re"), fclose);
  if (names == nullptr) {
    // ip_tables makes the file for every namespace; without it there are none.
    if (errno == ENOENT && access(kProcNet, F_OK) == 0) {
      return TablePresence::kAbsent;
    }
    return Seen().Has(family, table) ? TablePresence::kPresent
                                     : TablePresence::kUnknown;
  }
  char line[64];  // XT_TABLE_MAXNAMELEN is 32
  while (fgets(line, sizeof(line), names.get()) != nullptr) {
    if (absl::StripSuffix(line, "\n") == TableName(table)) {
      return TablePresence::kPresent;
    }
  }
  return ferror(names.get()) ? TablePresence::kUnknown : TablePresence::kAbsent;
}

void NoteTablePresent(Family family, Table table) { Seen().Add(family, table); }

absl::Status TableNotVisible(Family family, Table table) {
  const std::string path = absl::StrCat("/proc/net/", NamesFile(family));
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat("whether there is a table ", TableSubject(family, table),
                   " can't be seen, and to ask the kernel for it would make "
                   "it: let nfmeterd's group read ",
                   path, " (chgrp nfmeter ", path,
                   ", as the packaged unit does), or run nfmeterd as root"),
      {.reason = "TABLE_NOT_VISIBLE",
       .metadata = {{"table", std::string(TableName(table))},
                    {"family", std::string(FamilyName(family))},
                    {"path", path}}});
}

std::string InvisibleTablesNotice() {
  std::vector<std::string> files;
  for (const Family family : kAllFamilies) {
    if (access(NamesPath(family).c_str(), R_OK) != 0 && errno == EACCES) {
      files.push_back(absl::StrCat("/proc/net/", NamesFile(family)));
    }
  }
  if (files.empty()) return "";
  return absl::StrCat(
      "This user can't read ", absl::StrJoin(files, " and "),
      ", so rules in tables that nfmeterd did not change itself since it "
      "started are not seen: let its group read them (chgrp nfmeter FILE, as "
      "the packaged unit does), or run it as root.");
}

}  // namespace nfmeter::kernel
