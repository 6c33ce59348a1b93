// SPDX-License-Identifier: GPL-3.0-or-later
// The domain's counters as messages, which several services have.
#ifndef NFMETER_SERVICE_GATE_COUNTER_MESSAGE_H_
#define NFMETER_SERVICE_GATE_COUNTER_MESSAGE_H_

#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "nfmeter/v1/counter.pb.h"

namespace nfmeter::service {

void ToProto(const accounting::Counter& counter, v1::Counter* proto);

void ToProto(const std::vector<accounting::Counter>& counters,
             google::protobuf::RepeatedPtrField<v1::Counter>* protos);

void ToProto(const std::vector<accounting::CounterFailure>& failures,
             google::protobuf::RepeatedPtrField<v1::BatchFailure>* protos);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_COUNTER_MESSAGE_H_
