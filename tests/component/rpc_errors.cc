// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/component/rpc_errors.h"

#include "gtest/gtest.h"
#include "tests/support/rpc_details.h"

namespace nfmeter::testing {
google::rpc::Status RpcStatusOf(const grpc::Status& status) {
  google::rpc::Status decoded;
  EXPECT_TRUE(decoded.ParseFromString(status.error_details()));
  EXPECT_EQ(decoded.code(), status.error_code());
  EXPECT_EQ(decoded.message(), status.error_message());
  return decoded;
}

google::rpc::ErrorInfo ErrorInfoOf(const google::rpc::Status& status) {
  return DetailOf<google::rpc::ErrorInfo>(status);
}

google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status) {
  return ErrorInfoOf(RpcStatusOf(status));
}

google::rpc::BadRequest BadRequestOf(const grpc::Status& status) {
  return DetailOf<google::rpc::BadRequest>(RpcStatusOf(status));
}

std::vector<std::string> WrongFieldsOf(const grpc::Status& status) {
  std::vector<std::string> fields;
  const google::rpc::BadRequest bad_request = BadRequestOf(status);
  for (const auto& violation : bad_request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

}  // namespace nfmeter::testing
