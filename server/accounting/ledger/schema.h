// SPDX-License-Identifier: GPL-3.0-or-later
// The form of the ledger's file.
#ifndef NFMETER_ACCOUNTING_LEDGER_SCHEMA_H_
#define NFMETER_ACCOUNTING_LEDGER_SCHEMA_H_

#include <string>

#include "base/sqlite.h"

namespace nfmeter::accounting {

// How to open the ledger's file, an SQLite database (WAL, synchronous=FULL),
// for the ledger and for whoever else keeps something in it: labels, answers.
// Each opens it for itself.
sqlite::Options LedgerFile(const std::string& path);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_SCHEMA_H_
