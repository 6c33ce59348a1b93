// SPDX-License-Identifier: GPL-3.0-or-later
// Notices: sentences of GetNode about what needs somebody's attention.
#ifndef NFMETER_APP_NOTICES_H_
#define NFMETER_APP_NOTICES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"

namespace nfmeter::app {

std::vector<std::string> LedgerNotices(const accounting::LedgerStatus& ledger);

// `max_bytes` is limits.max_label_bytes. Empty: all labels are within it.
std::string LabelsNotice(const accounting::LabelStore::Use& use,
                         size_t max_bytes);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_NOTICES_H_
