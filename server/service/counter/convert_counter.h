// The domain's counters -> CounterService's messages.
#ifndef NFMETER_SERVICE_COUNTER_CONVERT_COUNTER_H_
#define NFMETER_SERVICE_COUNTER_CONVERT_COUNTER_H_

#include "absl/time/time.h"
#include "accounting/counters/counters.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "google/protobuf/timestamp.pb.h"
#include "nfmeter/v1/counter.pb.h"

namespace nfmeter::service {

void ToProto(absl::Time time, google::protobuf::Timestamp* proto);

void ToProto(const accounting::Counter& counter, v1::Counter* proto);

void ToProto(const std::vector<accounting::Counter>& counters,
             google::protobuf::RepeatedPtrField<v1::Counter>* protos);

void ToProto(const std::vector<accounting::CounterFailure>& failures,
             google::protobuf::RepeatedPtrField<v1::BatchFailure>* protos);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_CONVERT_COUNTER_H_
