// SPDX-License-Identifier: GPL-3.0-or-later
// The page of the real nfmeterd where other hosts reach it: mutual TLS, and for
// each client what the policy grants to its certificate.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::RunResult;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// What follows `key` in the log, up to the end of the word.
std::string InLog(const std::string& log, const std::string& key) {
  const size_t at = log.rfind(key);
  if (at == std::string::npos) return "";
  const size_t begin = at + key.size();
  return log.substr(begin, log.find_first_of("/ \n", begin) - begin);
}

class WebTlsTest : public ::testing::Test {
 protected:
  WebTlsTest() {
    files_.Issue("alice",
                 {.alternative_names = "URI:spiffe://example.org/ops/alice"});
    files_.Issue("anna",
                 {.alternative_names = "URI:spiffe://example.org/a/anna"});
    std::ofstream(files_.dir() / "policy.yaml") << R"(version: 1
rules:
  - {name: operators, principals: ['spiffe://example.org/ops/*'], role: admin}
  - name: tenant a
    principals: ['spiffe://example.org/a/*', 'cn:müller']
    role: viewer
    counter_prefixes: ['a-']
)";
    std::vector<std::string> flags = files_.ServerFlags();
    flags.insert(flags.end(), {"--web-listen", "0.0.0.0:0", "--policy",
                               files_.dir() / "policy.yaml"});
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = std::move(flags)});
    EXPECT_OK(server_->WaitUntilReady());
    port_ = InLog(server_->Log(), "url=https://0.0.0.0:");
    EXPECT_NE(port_, "") << server_->Log();
    for (const char* name : {"a-web", "b-web"}) {
      v1::CreateCounterRequest request;
      request.mutable_counter()->set_name(name);
      v1::CreateCounterResponse response;
      grpc::ClientContext context;
      EXPECT_OK(v1::CounterService::NewStub(server_->Channel())
                    ->CreateCounter(&context, request, &response));
    }
  }

  // A request of its own connection, as the client of that name; empty: of one
  // without a certificate. The answer ends in its status of HTTP.
  RunResult Get(const std::string& path, const std::string& client,
                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"curl",
                                      "-sS",
                                      "-w",
                                      "%{http_code}",
                                      "--cacert",
                                      files_.Certificate("ca"),
                                      "https://localhost:" + port_ + path};
    if (!client.empty()) {
      words.insert(words.end(), {"--cert", files_.Certificate(client), "--key",
                                 files_.Key(client)});
    }
    words.insert(words.end(), more.begin(), more.end());
    return testing::Run(words);
  }

  // Waits until a reading that the page shows, which may be a second old, has
  // the counter.
  void WaitFor(const std::string& counter, const std::string& client) const {
    ASSERT_TRUE(testing::Eventually([&] {
      return absl::StrContains(Get("/api/snapshot", client).out, counter);
    }));
  }

  // As those who renew certificates do it.
  void Replace(const std::string& name, const std::string& by) const {
    for (const char* ending : {".key", ".crt"}) {
      std::filesystem::copy_file(
          files_.dir() / (by + ending), files_.dir() / (name + ".new"),
          std::filesystem::copy_options::overwrite_existing);
      std::filesystem::rename(files_.dir() / (name + ".new"),
                              files_.dir() / (name + ending));
    }
  }

  testing::Certificates files_;
  std::unique_ptr<NfmeterdProcess> server_;
  std::string port_;
};

TEST_F(WebTlsTest, EachClientSeesWhatThePolicyGrants) {
  EXPECT_THAT(Get("/", "alice").out,
              AllOf(HasSubstr("<!doctype html>"), HasSubstr("200")));
  WaitFor("b-web", "alice");
  EXPECT_THAT(Get("/api/snapshot", "alice").out,
              AllOf(HasSubstr("\"a-web\""), HasSubstr("\"b-web\"")));
  EXPECT_THAT(Get("/api/snapshot", "anna").out,
              AllOf(HasSubstr("\"a-web\""), Not(HasSubstr("\"b-web\""))));
  // Names mean the same as over gRPC, those beyond ASCII too.
  files_.Issue("mueller", {.subject = "/CN=müller"});
  EXPECT_THAT(Get("/api/snapshot", "mueller").out, HasSubstr("\"a-web\""));
}

TEST_F(WebTlsTest, WhomThePolicyDoesNotKnowIsTold) {
  files_.Issue("carol");
  EXPECT_THAT(Get("/api/snapshot", "carol").out,
              AllOf(HasSubstr("cn:carol may not call"),
                    HasSubstr("the server's policy"), HasSubstr("403")));
}

TEST_F(WebTlsTest, WithoutAGoodCertificateThereIsNotEvenAPage) {
  files_.MakeAuthority("other-ca");
  files_.Issue("mallory",
               {.authority = "other-ca",
                .alternative_names = "URI:spiffe://example.org/ops/mallory"});
  files_.Issue(
      "late",
      {.alternative_names = "URI:spiffe://example.org/ops/late", .days = "-1"});
  for (const char* client : {"", "mallory", "late"}) {
    const RunResult run = Get("/", client);
    EXPECT_NE(run.exit_code, 0) << client;
    EXPECT_THAT(run.out, Not(HasSubstr("html"))) << client;
  }
  const RunResult plain =
      testing::Run({"curl", "-sS", "http://localhost:" + port_ + "/"});
  EXPECT_THAT(plain.out, Not(HasSubstr("html")));
  EXPECT_NE(Get("/", "alice", {"--tls-max", "1.1"}).exit_code, 0);
}

TEST_F(WebTlsTest, AnExpiredCertificateEndsAccessAtTheNextRequest) {
  constexpr int kSeconds = 5;
  files_.Issue("brief",
               {.alternative_names = "URI:spiffe://example.org/ops/brief",
                .not_after = absl::FormatTime(
                    "%Y%m%d%H%M%SZ", absl::Now() + absl::Seconds(kSeconds),
                    absl::UTCTimeZone())});
  // Two requests of a client that would keep its connection, the second when
  // the certificate has expired.
  const std::string again = "https://localhost:" + port_ + "/";
  const RunResult run =
      Get("/", "brief",
          {"--rate", "9/m", again, "-o", "/dev/null", "-w", "%{http_code}\n"});
  EXPECT_EQ(run.out, "200\n000\n");
  EXPECT_NE(run.exit_code, 0);
}

TEST_F(WebTlsTest, AnExpiredCertificateOfTheServerEndsWithItsRenewal) {
  const std::string names = "DNS:localhost,IP:127.0.0.1";
  files_.Issue("expired", {.alternative_names = names, .days = "-1"});
  files_.Issue("renewed", {.alternative_names = names});
  const auto await = [&](bool served) {
    RunResult run;
    EXPECT_TRUE(testing::Eventually([&] {
      run = Get("/", "alice");
      return (run.exit_code == 0) == served;
    }));
    return run;
  };
  Replace("server", "expired");
  EXPECT_THAT(await(/*served=*/false).err,
              HasSubstr("certificate has expired"));
  Replace("server", "renewed");
  EXPECT_THAT(await(/*served=*/true).out, HasSubstr("<!doctype html>"));
}

TEST_F(WebTlsTest, RenewedFilesAreTakenWithoutARestart) {
  files_.MakeAuthority("ca2");
  files_.Issue("alice2",
               {.authority = "ca2",
                .alternative_names = "URI:spiffe://example.org/ops/alice"});
  files_.Issue("server2", {.subject = "/CN=renewed",
                           .alternative_names = "DNS:localhost,IP:127.0.0.1"});
  EXPECT_NE(Get("/", "alice2").exit_code, 0);
  const std::string old_ca = files_.dir() / "old.crt";
  std::filesystem::copy_file(files_.Certificate("ca"), old_ca);
  Replace("server", "server2");
  Replace("ca", "ca2");
  // The server's own certificate is still of the old authority.
  const std::vector<std::string> knowing = {"--cacert", old_ca};
  EXPECT_TRUE(testing::Eventually(
      [&] { return Get("/", "alice2", knowing).exit_code == 0; }));
  EXPECT_THAT(Get("/api/snapshot", "alice2", knowing).out,
              HasSubstr("\"b-web\""));
  EXPECT_NE(Get("/", "alice", knowing).exit_code, 0);
  const RunResult seen =
      Get("/", "alice2", {"--cacert", old_ca, "-v", "-o", "/dev/null"});
  EXPECT_THAT(seen.err, HasSubstr("renewed"));
}

}  // namespace
}  // namespace nfmeter
