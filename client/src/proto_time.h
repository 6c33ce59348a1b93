// SPDX-License-Identifier: Apache-2.0
// Times of the protos.
#ifndef NFMETER_CLIENT_SRC_PROTO_TIME_H_
#define NFMETER_CLIENT_SRC_PROTO_TIME_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace nfmeter::client_internal {

inline absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

inline absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_PROTO_TIME_H_
