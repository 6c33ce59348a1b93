// SPDX-License-Identifier: GPL-3.0-or-later
// CounterService's requests -> the domain's structs. What is wrong goes into
// `errors`, and the result is then of no use.
#ifndef NFMETER_SERVICE_COUNTER_VALIDATE_COUNTER_H_
#define NFMETER_SERVICE_COUNTER_VALIDATE_COUNTER_H_

#include <string>
#include <vector>

#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "nfmeter/v1/counter.pb.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

// A counter to make; `field` is the path of `counter`.
accounting::Counter ReadNewCounter(const v1::Counter& counter,
                                   const std::string& field,
                                   FieldErrors& errors);

// Counters to make, no name twice.
std::vector<accounting::Counter> ReadNewCounters(
    const google::protobuf::RepeatedPtrField<v1::Counter>& counters,
    FieldErrors& errors);

// A counter to change: the fields that the mask names, or without one those
// that are set.
accounting::CounterUpdate ReadCounterUpdate(
    const v1::UpdateCounterRequest& request, FieldErrors& errors);

// Names of existing counters, none twice.
std::vector<std::string> ReadCounterNames(
    const google::protobuf::RepeatedPtrField<std::string>& names,
    FieldErrors& errors);

// The same, to be changed whatever their etag is.
std::vector<accounting::CounterTarget> ReadCounterTargets(
    const google::protobuf::RepeatedPtrField<std::string>& names,
    FieldErrors& errors);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_VALIDATE_COUNTER_H_
