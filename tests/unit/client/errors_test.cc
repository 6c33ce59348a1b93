// SPDX-License-Identifier: GPL-3.0-or-later
#include "nfmeter/errors.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "client/src/credentials.h"
#include "client/src/payload.h"
#include "client/src/status.h"
#include "gmock/gmock.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using client_internal::Address;
using client_internal::ClientError;
using client_internal::ExplainConnection;
using client_internal::FromGrpc;
using client_internal::MakeCredentials;
using client_internal::ShiftIndexes;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

grpc::Status ServerError() {
  google::rpc::ErrorInfo info;
  info.set_reason("COUNTER_IN_USE");
  info.set_domain("nfmeter");
  (*info.mutable_metadata())["counter"] = "http";
  google::rpc::BadRequest request;
  for (const char* field : {"counters[1].name", "counters[0].quota"}) {
    auto* violation = request.add_field_violations();
    violation->set_field(field);
    violation->set_description("bad");
  }
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(250'000'000);
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  status.add_details()->PackFrom(request);
  status.add_details()->PackFrom(retry);
  return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                      "counters[1].name: in use", status.SerializeAsString());
}

TEST(ErrorsTest, DetailsOfTheServerCanBeRead) {
  const absl::Status status = FromGrpc(ServerError());
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "counters[1].name: in use"));
  EXPECT_EQ(ErrorReason(status), "COUNTER_IN_USE");
  EXPECT_THAT(ErrorMetadata(status), ElementsAre(Pair("counter", "http")));
  EXPECT_THAT(FieldViolations(status),
              ElementsAre(Field(&InvalidField::field, "counters[1].name"),
                          Field(&InvalidField::field, "counters[0].quota")));
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(250));
}

TEST(ErrorsTest, CodesAreTranslatedOneToOne) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status =
        FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(code), "x"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
  }
  EXPECT_THAT(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(99), "x")),
              StatusIs(absl::StatusCode::kUnknown));
  EXPECT_OK(FromGrpc(grpc::Status::OK));
}

TEST(ErrorsTest, MalformedOrMissingDetailsAreNone) {
  for (const char* details : {"", "\xff\xff\xff garbage"}) {
    const absl::Status status = FromGrpc(
        grpc::Status(grpc::StatusCode::NOT_FOUND, "no counter", details));
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, "no counter"));
    EXPECT_EQ(ErrorReason(status), "");
    EXPECT_THAT(ErrorMetadata(status), IsEmpty());
    EXPECT_THAT(FieldViolations(status), IsEmpty());
    EXPECT_EQ(RetryDelay(status), std::nullopt);
  }
}

TEST(ErrorsTest, ErrorsOfAPartBecomeErrorsOfTheWholeBatch) {
  const absl::Status status =
      ShiftIndexes(FromGrpc(ServerError()), "counters", 5000);
  EXPECT_EQ(status.message(), "counters[5001].name: in use");
  EXPECT_THAT(FieldViolations(status),
              ElementsAre(Field(&InvalidField::field, "counters[5001].name"),
                          Field(&InvalidField::field, "counters[5000].quota")));
  EXPECT_EQ(ErrorReason(status), "COUNTER_IN_USE");
  const absl::Status odd = ShiftIndexes(
      absl::NotFoundError("rules[1] counters[x] counters[2"), "counters", 7);
  EXPECT_EQ(odd.message(), "rules[1] counters[x] counters[2");
}

// A unix socket that nobody listens on, or somebody does.
class Socket {
 public:
  explicit Socket(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
  }
  ~Socket() { close(fd_); }
  void Listen() { ASSERT_EQ(listen(fd_, 1), 0); }

 private:
  int fd_;
};

absl::Status Explain(const std::string& path) {
  return ExplainConnection(absl::UnavailableError("failed to connect"),
                           Address{"unix:" + path, path, true});
}

TEST(ErrorsTest, AMissingSocketMeansThatTheServerDoesNotRun) {
  const absl::Status status = Explain("/nonexistent/nfmeter.sock");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               "there is no socket /nonexistent/nfmeter.sock"));
  EXPECT_EQ(ErrorReason(status), reason::kSocketMissing);
  EXPECT_THAT(ErrorHint(status), HasSubstr("nfmeterd is not running"));
}

TEST(ErrorsTest, ASocketThatNobodyListensOnWasLeftBehind) {
  TemporaryDirectory directory;
  Socket socket(directory / "s");
  const absl::Status status = Explain(directory / "s");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ErrorReason(status), reason::kNotListening);
  EXPECT_THAT(ErrorHint(status), HasSubstr("start it again"));
}

TEST(ErrorsTest, ASocketThatListensMeansThatTheConnectionBroke) {
  TemporaryDirectory directory;
  Socket socket(directory / "s");
  socket.Listen();
  EXPECT_EQ(ErrorReason(Explain(directory / "s")), reason::kConnectionLost);
}

TEST(ErrorsTest, ASocketIsNotForTls) {
  TemporaryDirectory directory;
  Socket socket(directory / "s");
  socket.Listen();
  const Address address{"unix:s", directory / "s", true};
  const absl::Status handshake = absl::UnavailableError(
      "failed to connect to all addresses; last error: UNKNOWN: unix:/s: Ssl "
      "handshake failed: SSL_ERROR_SSL: wrong version number");
  const absl::Status status =
      ExplainConnection(handshake, address, TlsOptions());
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ErrorReason(status), reason::kTlsFailed);
  EXPECT_THAT(ErrorHint(status), HasSubstr("no TLS on unix sockets"));
  EXPECT_EQ(
      ErrorReason(ExplainConnection(absl::UnavailableError("Socket closed"),
                                    address, TlsOptions())),
      reason::kConnectionLost);
}

TEST(ErrorsTest, AForbiddenSocketNamesTheGroupToJoin) {
  TemporaryDirectory directory;
  Socket socket(directory / "s");
  socket.Listen();
  ASSERT_EQ(chmod(directory.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((directory / "s").c_str(), 0), 0);
  // Permissions bind everybody but root.
  if (geteuid() == 0) {
    ASSERT_EQ(seteuid(65534), 0);
  }
  const absl::Status status = Explain(directory / "s");
  if (getuid() == 0) {
    ASSERT_EQ(seteuid(0), 0);
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(ErrorReason(status), reason::kSocketForbidden);
  EXPECT_THAT(ErrorHint(status), HasSubstr("Join the group"));
}

TEST(ErrorsTest, NetworkFailuresAreToldApart) {
  const Address address{"host:1", "", false};
  const auto reason_of = [&](absl::string_view message) {
    return ErrorReason(
        ExplainConnection(absl::UnavailableError(message), address));
  };
  EXPECT_EQ(reason_of("connect: Connection refused"), reason::kNotListening);
  EXPECT_EQ(reason_of("Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"),
            reason::kTlsFailed);
  EXPECT_EQ(reason_of("Socket closed"), reason::kConnectionLost);
  EXPECT_EQ(reason_of("DNS resolution failed"), reason::kUnreachable);
}

TEST(ErrorsTest, AServerThatHangsUpOverTlsRefusesTheCertificate) {
  const absl::Status closed = absl::UnavailableError(
      "failed to connect to all addresses; last error: UNAVAILABLE: "
      "ipv4:127.0.0.1:7443: Socket closed");
  const Address address{"host:1", "", false};
  const absl::Status without = ExplainConnection(closed, address, TlsOptions());
  EXPECT_EQ(ErrorReason(without), reason::kTlsFailed);
  EXPECT_THAT(ErrorHint(without), HasSubstr("give one and its key"));
  const absl::Status with =
      ExplainConnection(closed, address, TlsOptions{.certificate_file = "c"});
  EXPECT_EQ(ErrorReason(with), reason::kTlsFailed);
  EXPECT_THAT(ErrorHint(with), HasSubstr("may have expired"));
  // Later than that it has nothing to do with TLS.
  EXPECT_EQ(
      ErrorReason(ExplainConnection(absl::UnavailableError("Socket closed"),
                                    address, TlsOptions())),
      reason::kConnectionLost);
}

TEST(ErrorsTest, WhatTheServerSaysIsNotExplainedAway) {
  const absl::Status busy = ClientError(absl::StatusCode::kUnavailable,
                                        "XTABLES_LOCKED", "locked", "");
  EXPECT_EQ(ExplainConnection(busy, Address{"unix:/x", "/x", true}), busy);
  const absl::Status other = absl::NotFoundError("x");
  EXPECT_EQ(ExplainConnection(other, Address{"unix:/x", "/x", true}), other);
}

TEST(CredentialsTest, NoTlsIsForLocalAddressesOnly) {
  ClientOptions options;
  EXPECT_OK(MakeCredentials(options, Address{"unix:/x", "/x", true}));
  const auto remote = MakeCredentials(options, Address{"h:1", "", false});
  EXPECT_THAT(remote, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(ErrorReason(remote.status()), reason::kTlsRequired);
  options.insecure = true;
  EXPECT_OK(MakeCredentials(options, Address{"h:1", "", false}));
}

TEST(CredentialsTest, FilesThatCannotBeUsedAreNamed) {
  TemporaryDirectory directory;
  std::ofstream(directory / "text") << "hello";
  const Address address{"h:1", "", false};
  const auto message_of = [&](const TlsOptions& tls) {
    ClientOptions options;
    options.tls = tls;
    const auto credentials = MakeCredentials(options, address);
    EXPECT_EQ(ErrorReason(credentials.status()), reason::kBadTlsFiles);
    return std::string(credentials.status().message());
  };
  EXPECT_THAT(message_of({.ca_file = "/nowhere/ca.pem"}),
              AllOf(HasSubstr("/nowhere/ca.pem"), HasSubstr("No such file")));
  EXPECT_THAT(message_of({.ca_file = directory / "text"}),
              HasSubstr("is not PEM"));
  EXPECT_THAT(message_of({.ca_file = directory.path()}),
              HasSubstr("can't read the CA file"));
  EXPECT_THAT(message_of({.certificate_file = "x"}),
              HasSubstr("without its key"));
  EXPECT_THAT(message_of({.key_file = "x"}),
              HasSubstr("without its certificate"));
}

}  // namespace
}  // namespace nfmeter
