// SPDX-License-Identifier: GPL-3.0-or-later
// Times and durations as messages, and back.
#ifndef NFMETER_SERVICE_GATE_TIME_MESSAGE_H_
#define NFMETER_SERVICE_GATE_TIME_MESSAGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

void ToProto(absl::Time time, google::protobuf::Timestamp* proto);
absl::Time ToTime(const google::protobuf::Timestamp& proto);
void ToProto(absl::Duration duration, google::protobuf::Duration* proto);

// A duration that must not be negative. `zero_means` tells people what 0 stands
// for: "values of now".
absl::Duration ReadDuration(const google::protobuf::Duration& proto,
                            const std::string& field,
                            absl::string_view zero_means, FieldErrors& errors);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_TIME_MESSAGE_H_
