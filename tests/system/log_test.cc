// SPDX-License-Identifier: GPL-3.0-or-later
// The log that machines read.
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallRaw;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kSpanId[] = "b7ad6b7169203331";

// Reads lines strictly; writes a line "level message method trace_id span_id"
// for each, or "not JSON: LINE".
constexpr char kReader[] = R"python(
import json, re, sys
for line in sys.stdin.buffer.read().split(b"\n")[:-1]:
  try:
    record = json.loads(line.decode("utf-8", "strict"))
    assert all(type(value) is str for value in record.values())
    assert re.fullmatch(r"\d{4}(-\d\d){2}T(\d\d:){2}\d\d\.\d{3}Z", record["time"])
    words = [record[key] for key in ("level", "message")]
    words += [record.get(key, "") for key in ("method", "trace_id", "span_id")]
    print(" ".join(word for word in words if word))
  except (ValueError, KeyError, AssertionError, AttributeError) as error:
    print("not JSON:", line, repr(error))
)python";

std::vector<std::string> ReadJson(const std::string& log) {
  const testing::RunResult run = testing::Run({"python3", "-c", kReader}, log);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return absl::StrSplit(run.out, '\n', absl::SkipEmpty());
}

// A context for one call of a client that traces.
class Traced : public grpc::ClientContext {
 public:
  Traced() {
    AddMetadata("traceparent",
                absl::StrCat("00-", kTraceId, "-", kSpanId, "-01"));
  }
};

void MakeTracedCalls(const std::shared_ptr<grpc::Channel>& channel) {
  const auto counters = v1::CounterService::NewStub(channel);
  Traced contexts[4];
  v1::CreateCounterRequest create;
  create.mutable_counter()->set_name("a");
  v1::CreateCounterResponse created;
  EXPECT_OK(counters->CreateCounter(&contexts[0], create, &created));
  v1::GetCounterRequest get;
  get.set_name("a");
  v1::GetCounterResponse got;
  EXPECT_OK(counters->GetCounter(&contexts[1], get, &got));
  get.set_name("missing");
  EXPECT_FALSE(counters->GetCounter(&contexts[2], get, &got).ok());
  const auto reader = v1::SnapshotService::NewStub(channel)->GetSnapshot(
      &contexts[3], v1::GetSnapshotRequest());
  v1::GetSnapshotResponse chunk;
  while (reader->Read(&chunk)) {
  }
  EXPECT_OK(reader->Finish());
}

TEST(LogTest, EveryLineIsAnObjectAndCallsHaveTheirTrace) {
  NfmeterdProcess server(
      {.arguments = {"--log-format", "json", "--log-level", "debug"}});
  ASSERT_OK(server.WaitUntilReady());
  MakeTracedCalls(server.Channel());
  EXPECT_EQ(server.Stop(), 0);
  const std::vector<std::string> lines = ReadJson(server.Log());
  EXPECT_THAT(lines, Each(Not(HasSubstr("not JSON"))));
  const std::string traced = absl::StrCat(" ", kTraceId, " ", kSpanId);
  std::map<std::string, int> counts;
  for (const std::string& line : lines) ++counts[line];
  const std::string counter = "nfmeter.v1.CounterService/";
  EXPECT_EQ(counts["info audit " + counter + "CreateCounter" + traced], 1);
  EXPECT_EQ(counts["debug call " + counter + "CreateCounter" + traced], 1);
  EXPECT_EQ(counts["debug call " + counter + "GetCounter" + traced], 2);
  EXPECT_EQ(
      counts["debug call nfmeter.v1.SnapshotService/GetSnapshot" + traced], 1);
  EXPECT_EQ(counts["info ready"], 1);
}

TEST(LogTest, TextThatIsNotUtf8DoesNotFloodIt) {
  NfmeterdProcess server(
      {.arguments = {"--log-format", "json", "--log-level", "info"}});
  ASSERT_OK(server.WaitUntilReady());
  const size_t before = ReadJson(server.Log()).size();
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(CallRaw(server.Channel(),
                         "/nfmeter.v1.CounterService/GetCounter",
                         "\x0a\x01\xff")
                     .ok());
  }
  // On the connection: gRPC itself refuses.
  EXPECT_EQ(testing::Run({"python3", "-c",
                          "import socket, sys\n"
                          "for i in range(50):\n"
                          "  s = socket.socket(socket.AF_UNIX)\n"
                          "  s.connect(sys.argv[1])\n"
                          "  s.sendall(b'\\xff\\x00 no HTTP/2 \"' * 9)\n"
                          "  s.recv(999)\n",
                          server.socket_path()})
                .exit_code,
            0);
  EXPECT_EQ(server.Stop(), 0);
  const std::vector<std::string> lines = ReadJson(server.Log());
  EXPECT_THAT(lines, Each(Not(HasSubstr("not JSON"))));
  EXPECT_LE(lines.size(), before + 20);
}

TEST(LogTest, WhatKeepsItFromServingIsInTheSameForm) {
  const testing::TemporaryDirectory dir;
  std::ofstream(dir / "file") << "no database";
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--listen", "tcp:0.0.0.0:1",
                                 "--tls-certificate", "/no/c", "--tls-key",
                                 "/no/k", "--tls-client-ca", "/no/ca"},
        {"--socket-group", "no-such-group"},
        {"--state-dir", dir / "file/state"}}) {
    std::vector<std::string> argv = {testing::NfmeterdPath(), "--log-format",
                                     "json"};
    argv.insert(argv.end(), wrong.begin(), wrong.end());
    const testing::RunResult run = testing::Run(argv);
    EXPECT_NE(run.exit_code, 0);
    EXPECT_THAT(ReadJson(run.err), SizeIs(1)) << run.err;
    EXPECT_THAT(ReadJson(run.err), Each(::testing::StartsWith("error ")))
        << run.err;
  }
}

}  // namespace
}  // namespace nfmeter
