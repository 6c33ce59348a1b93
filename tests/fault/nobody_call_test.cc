// SPDX-License-Identifier: GPL-3.0-or-later
// A call of nobody: what callers send, or leave unread, without having a right
// to it, costs the server next to nothing, and others are served meanwhile.
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/http2_connection.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/certificates.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Certificates;
using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::FirstAnswerRaw;
using ::nfmeter::testing::Http2Connection;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using Code = absl::StatusCode;
namespace http2 = ::nfmeter::testing::http2;

constexpr char kCreate[] = "/nfmeter.v1.CounterService/BatchCreateCounters";
constexpr char kDelete[] = "/nfmeter.v1.CounterService/BatchDeleteCounters";
constexpr char kList[] = "/nfmeter.v1.CounterService/ListCounters";
constexpr char kWatch[] = "/nfmeter.v1.SnapshotService/WatchSnapshots";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

// More than a server may ever need for what is refused, in KiB.
constexpr size_t kLittle = 48 << 10;

// A server on a socket, for its admin, and with TLS, where the policy knows a
// viewer and an operator.
class NobodyCallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string policy = certificates_.dir() / "policy.yaml";
    std::ofstream(policy) << "version: 1\nrules:\n"
                             "  - {principals: ['cn:viewer'], role: viewer}\n"
                             "  - {principals: ['cn:operator'], role: "
                             "operator}\n";
    for (const char* name : {"nobody", "viewer", "operator"}) {
      certificates_.Issue(name);
    }
    FaultServer::Options options{.arguments = certificates_.ServerFlags()};
    options.arguments.insert(options.arguments.end(), {"--policy", policy});
    server_ = std::make_unique<FaultServer>(options);
    ASSERT_OK(server_->Start());
    address_ = server_->process().TcpAddress("127.0.0.1");
    // Threads and certificates take their memory before it is measured.
    for (const char* name : {"nobody", "viewer", "operator"}) {
      (void)FirstAnswerRaw(As(name), kHealth, "");
    }
    before_ = testing::PeakResidentKiB(server_->pid());
  }

  void TearDown() override {
    EXPECT_FALSE(server_->HasEnded()) << server_->process().Log();
    EXPECT_OK(server_->Connect()->CreateCounter("still-alive").status());
  }

  std::shared_ptr<grpc::Channel> As(const std::string& name) {
    return certificates_.Connect(address_, name);
  }

  // KiB that the server has ever had more than at the start.
  size_t Growth() const {
    return testing::PeakResidentKiB(server_->pid()) - before_;
  }

  Certificates certificates_;
  std::unique_ptr<FaultServer> server_;
  std::string address_;
  size_t before_ = 0;
};

// The answer to `message`, which goes over the wire behind gzip.
absl::Status CallWithGzip(const std::shared_ptr<grpc::Channel>& to,
                          const std::string& method,
                          const std::string& message) {
  const auto deadline = absl::ToChronoTime(absl::Now() + absl::Seconds(60));
  // Compressing takes seconds, for which a handshake would have to wait.
  EXPECT_TRUE(to->WaitForConnected(deadline));
  grpc::GenericStub stub(to);
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  context.set_deadline(deadline);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(message);
  const grpc::ByteBuffer bytes(&slice, 1);
  const auto call = stub.PrepareUnaryCall(&context, method, bytes, &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return {static_cast<Code>(status.error_code()), status.error_message()};
}

TEST_F(NobodyCallTest, NothingIsInflated) {
  // More than is allowed to grow; 64 KiB on the wire.
  const std::string zeros(64 << 20, '\0');
  EXPECT_FALSE(CallWithGzip(As("nobody"), kCreate, zeros).ok());
  // This one is for everybody.
  EXPECT_THAT(CallWithGzip(As("nobody"), kHealth, zeros),
              StatusIs(Code::kUnimplemented));
  EXPECT_THAT(CallWithGzip(As("operator"), kCreate, zeros),
              StatusIs(Code::kUnimplemented, HasSubstr("gzip")));
  EXPECT_LT(Growth(), kLittle);
}

// Lists of empty elements: of two bytes each on the wire.
std::string EmptyElements(char field, size_t bytes) {
  std::string message;
  while (message.size() < bytes) {
    message.push_back(static_cast<char>(field << 3 | 2));
    message.push_back('\0');
  }
  return message;
}

TEST_F(NobodyCallTest, WhatNobodySendsIsNotRead) {
  for (const char* method : {kCreate, kDelete, kList, kWatch}) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_THAT(
          FirstAnswerRaw(As("nobody"), method, EmptyElements(1, 15 << 20)),
          StatusIs(Code::kPermissionDenied))
          << method;
    }
  }
  EXPECT_LT(Growth(), kLittle);
}

TEST_F(NobodyCallTest, WhatWouldGrowWhenItIsParsedIsRefusedBefore) {
  for (const char* method :
       {kCreate, "/nfmeter.v1.RuleService/BatchCreateRules"}) {
    EXPECT_THAT(
        FirstAnswerRaw(As("operator"), method, EmptyElements(1, 15 << 20)),
        StatusIs(Code::kResourceExhausted,
                 HasSubstr("raise limits.max_held_bytes")))
        << method;
  }
  EXPECT_LT(Growth(), kLittle);
}

TEST_F(NobodyCallTest, AStreamsFilterIsSmall) {
  v1::WatchSnapshotsRequest request;
  (*request.mutable_filter()->mutable_labels())["a"] =
      std::string(15 << 20, 'x');
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(
        FirstAnswerRaw(As("viewer"), kWatch, request.SerializeAsString()),
        StatusIs(Code::kResourceExhausted, HasSubstr("at most 65536")));
  }
  request.mutable_filter()->mutable_labels()->clear();
  for (int i = 0; i < 17; ++i) {
    (*request.mutable_filter()->mutable_labels())[absl::StrCat(i)] = "";
  }
  EXPECT_THAT(FirstAnswerRaw(As("viewer"), kWatch, request.SerializeAsString()),
              StatusIs(Code::kInvalidArgument, HasSubstr("at most 16")));
  EXPECT_LT(Growth(), kLittle);
}

// Answers of 3 MiB, to a client that gives them no room.
TEST_F(NobodyCallTest, AnswersThatAreNotReadAreFew) {
  const auto admin = server_->Connect();
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < 700; ++i) {
    v1::Counter* const counter = request.add_counters();
    counter->set_name(absl::StrCat("c", i));
    for (int label = 0; label < 16; ++label) {
      (*counter->mutable_labels())[absl::StrCat("label", label)] =
          std::string(255, 'x');
    }
  }
  ASSERT_OK(admin->BatchCreateCounters(request).status());
  const size_t before = testing::ResidentKiB(server_->pid());
  before_ = testing::PeakResidentKiB(server_->pid());
  {
    int port = 0;
    ASSERT_TRUE(
        absl::SimpleAtoi(address_.substr(address_.rfind(':') + 1), &port));
    auto connection = Http2Connection::OpenTls(
        static_cast<uint16_t>(port),
        {.ca = certificates_.Certificate("ca"),
         .certificate = certificates_.Certificate("viewer"),
         .key = certificates_.Key("viewer")});
    ASSERT_OK(connection.status());
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    ASSERT_TRUE((*connection)
                    ->Send(http2::Frame(http2::kSettings, 0, 0,
                                        {"\0\x04\0\0\0\0", 6})));
    const std::string message("\0\0\0\0\0", 5);
    for (uint32_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(
          (*connection)
              ->Send(http2::Frame(http2::kHeaders, http2::kEndHeaders,
                                  2 * i + 1, http2::CallHeaders(kList))));
      ASSERT_TRUE((*connection)
                      ->Send(http2::Frame(http2::kData, http2::kEndStream,
                                          2 * i + 1, message)));
    }
    // Others are served meanwhile.
    for (int i = 0; i < 20; ++i) {
      EXPECT_OK(admin->ListCounters("still-*").status());
    }
    EXPECT_LT(Growth(), 200u << 10);
  }
  // What nobody will read any more is given back, but for what the threads that
  // made it keep.
  constexpr size_t kMuch = 72 << 10;
  const auto now = [&] { return testing::ResidentKiB(server_->pid()); };
  EXPECT_TRUE(testing::Eventually([&] { return now() < before + kMuch; }))
      << now() << " KiB, and " << before << " before";
}

}  // namespace
}  // namespace nfmeter
