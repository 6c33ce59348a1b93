// SPDX-License-Identifier: GPL-3.0-or-later
// The SDK over a connection to a server whose answers each test writes.
#ifndef NFMETER_TESTS_COMPONENT_CLIENT_CALL_FIXTURE_H_
#define NFMETER_TESTS_COMPONENT_CLIENT_CALL_FIXTURE_H_

#include <atomic>
#include <memory>
#include <string>

#include "client/src/connection.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nfmeter/client.h"
#include "tests/component/client/fake_server.h"
#include "tests/support/fake_client_environment.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {

inline const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE,
                                       "restarting");

// An error as nfmeterd makes them.
inline grpc::Status Fail(grpc::StatusCode code, const std::string& reason,
                         const std::string& message,
                         const std::string& field = "",
                         const std::string& counters = "") {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  if (!counters.empty()) (*info.mutable_metadata())["counters"] = counters;
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  if (!field.empty()) {
    google::rpc::BadRequest request;
    request.add_field_violations()->set_field(field);
    status.add_details()->PackFrom(request);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

class CallFixture : public ::testing::Test {
 protected:
  // The server's bound, as NodeService tells it.
  void LimitBatches(int items) {
    server_.node.on_GetNode = [this, items](const auto&, auto* response) {
      ++node_calls_;
      response->mutable_node()->mutable_limits()->set_max_batch_size(items);
      return grpc::Status::OK;
    };
  }

  // NodeService tells epoch_: which process of the server this is.
  void TellEpoch() {
    server_.node.on_GetNode = [this](const auto&, auto* response) {
      ++node_calls_;
      response->mutable_node()->set_epoch(epoch_);
      return grpc::Status::OK;
    };
  }

  std::atomic<int> node_calls_ = 0;
  std::atomic<uint64_t> epoch_ = 7;
  FakeServer server_;
  std::shared_ptr<FakeClientEnvironment> environment_ =
      std::make_shared<FakeClientEnvironment>();
  std::shared_ptr<client_internal::Connection> connection_ =
      *client_internal::Connection::Open({.address = server_.address()},
                                         environment_);
  std::unique_ptr<Client> client_ = std::make_unique<Client>(connection_);
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_CLIENT_CALL_FIXTURE_H_
