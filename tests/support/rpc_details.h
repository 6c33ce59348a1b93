// SPDX-License-Identifier: GPL-3.0-or-later
// Details of google.rpc.Status.
#ifndef NFMETER_TESTS_SUPPORT_RPC_DETAILS_H_
#define NFMETER_TESTS_SUPPORT_RPC_DETAILS_H_

#include "google/rpc/status.pb.h"

namespace nfmeter::testing {

// The last one of this type, or an empty message.
template <typename Detail>
Detail DetailOf(const google::rpc::Status& status) {
  Detail detail;
  for (const google::protobuf::Any& any : status.details()) {
    if (any.Is<Detail>()) any.UnpackTo(&detail);
  }
  return detail;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_RPC_DETAILS_H_
