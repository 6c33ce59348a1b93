// SPDX-License-Identifier: GPL-3.0-or-later
// What the ledger tells, as messages.
#ifndef NFMETER_SERVICE_USAGE_USAGE_MESSAGES_H_
#define NFMETER_SERVICE_USAGE_USAGE_MESSAGES_H_

#include <string>

#include "accounting/common/counter_filter.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/account.h"
#include "accounting/ledger/usage_query.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::service {

// The counter's labels: once it is deleted, those that it had last.
accounting::Labels LabelsOf(const accounting::StoredAccount& stored,
                            const accounting::LabelStore& labels);

void ToProto(const accounting::Account& account,
             const accounting::Labels& labels, v1::UsageCounter* proto);
// `counter` is the shown name of the gap's; empty: all, or not known any more.
void ToProto(const accounting::Gap& gap, const std::string& counter,
             v1::UsageGap* proto);
void ToProto(const accounting::UsageRow& row, v1::UsageRow* proto);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_USAGE_USAGE_MESSAGES_H_
