// SPDX-License-Identifier: Apache-2.0
// A batch in PostgreSQL's formats.
#ifndef NFMETER_COLLECTOR_POSTGRES_BATCH_H_
#define NFMETER_COLLECTOR_POSTGRES_BATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collector/postgres.h"
#include "collector/record.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// Rows of nfmeter.records, for COPY in binary format.
std::string PostgresRecords(const Batch& batch, int32_t node);

// The parameters of nfmeter.store_batch(), in their order.
std::vector<postgres::Parameter> PostgresBatch(const Batch& batch,
                                               int32_t node);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_BATCH_H_
