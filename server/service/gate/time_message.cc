// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/time_message.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace nfmeter::service {

void ToProto(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  proto->set_seconds(seconds);
  proto->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) +
         absl::Nanoseconds(proto.nanos());
}

void ToProto(absl::Duration duration, google::protobuf::Duration* proto) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  proto->set_seconds(seconds);
  proto->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(duration - absl::Seconds(seconds))));
}

absl::Duration ReadDuration(const google::protobuf::Duration& proto,
                            const std::string& field,
                            absl::string_view zero_means, FieldErrors& errors) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // see duration.proto
  if (proto.seconds() < 0 || proto.nanos() < 0) {
    errors.Add(field, absl::StrCat("is negative; write 0 for ", zero_means,
                                   ", or a positive duration"));
    return absl::ZeroDuration();
  }
  if (proto.nanos() > 999'999'999 || proto.seconds() > kMaxSeconds) {
    errors.Add(field, "is not a valid duration");
    return absl::ZeroDuration();
  }
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

}  // namespace nfmeter::service
