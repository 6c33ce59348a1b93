// SPDX-License-Identifier: Apache-2.0
// Tables of flows and of their sums.
#ifndef NFMETER_CLI_FLOW_VIEWS_H_
#define NFMETER_CLI_FLOW_VIEWS_H_

#include "cli/columns.h"
#include "cli/table.h"
#include "google/protobuf/repeated_field.h"
#include "nfmeter/v1/flow.pb.h"

namespace nfmeter::cli {

using Flows = google::protobuf::RepeatedPtrField<v1::Flow>;

// The columns of CSV have the names of IPFIX (RFC 7012, RFC 5103 for what goes
// back), so that what reads flow records reads them.
Table FlowTable(const Flows& flows, Layout layout);

// Groups, then what is in none of them ("other") and all together ("total"); in
// CSV the groups alone. Of the grouping only what it names is shown.
Table FlowRankingTable(const v1::FlowRanking& ranking,
                       const v1::FlowGrouping& grouping, bool with_ended,
                       Layout layout);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FLOW_VIEWS_H_
