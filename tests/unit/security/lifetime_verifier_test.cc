// SPDX-License-Identifier: GPL-3.0-or-later
#include <grpc/grpc_security.h>

#include <string>

#include "gmock/gmock.h"
#include "security/listen/certificate_expiry.h"
#include "tests/support/read_file.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

// A certificate that is good from `begin` to `end`, as date(1) understands it.
std::string Pem(const std::string& begin, const std::string& end) {
  testing::TemporaryDirectory dir;
  const testing::RunResult made = testing::Run(
      {"bash", "-ec",
       "cd \"$0\"; at() { date -u -d \"$1\" +%Y%m%d%H%M%SZ; }\n"
       "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
       "-nodes -subj /CN=x -keyout key -out csr; touch index; echo 01 >serial\n"
       "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\n"
       "new_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\n[p]\\n"
       "commonName=supplied\\n' >cnf\n"
       "openssl ca -batch -notext -config cnf -selfsign -keyfile key -in csr "
       "-startdate $(at \"$1\") -enddate $(at \"$2\") -out crt",
       dir.path(), begin, end});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  return testing::ReadFile(dir / "crt");
}

grpc::StatusCode Verdict(const std::string& pem) {
  grpc_tls_custom_verification_check_request raw{};
  raw.peer_info.peer_cert = pem.c_str();
  grpc::experimental::TlsCustomVerificationCheckRequest request(&raw);
  grpc::Status status(grpc::StatusCode::UNKNOWN, "not said");
  LifetimeVerifier verifier;
  EXPECT_TRUE(verifier.Verify(
      &request, [](const grpc::Status&) { ADD_FAILURE(); }, &status));
  return status.error_code();
}

// Also where a session is resumed: OpenSSL asks no more.
TEST(LifetimeVerifierTest, OnlyWhatIsGoodNowIsLetIn) {
  EXPECT_EQ(Verdict(Pem("-1 hour", "+1 hour")), grpc::StatusCode::OK);
  EXPECT_EQ(Verdict(Pem("-2 hours", "-1 minute")),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Verdict(Pem("+1 hour", "+2 hours")),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Verdict(""), grpc::StatusCode::UNAUTHENTICATED);
}

}  // namespace
}  // namespace nfmeter::security
