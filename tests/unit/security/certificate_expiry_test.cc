// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/certificate_expiry.h"

#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::StatusIs;

class CertificateExpiryTest : public ::testing::Test {
 protected:
  testing::TemporaryDirectory dir_;
};

TEST_F(CertificateExpiryTest, TellsFromWhenToWhen) {
  const std::string file = dir_ / "tls.crt";
  const testing::RunResult made = testing::Run(
      {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3", "-subj", "/CN=x",
       "-keyout", dir_ / "tls.key", "-out", file});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const auto lifetime = ReadCertificateLifetime(file);
  ASSERT_OK(lifetime);
  EXPECT_EQ(lifetime->not_after - lifetime->not_before, absl::Hours(72));
  EXPECT_LT(absl::AbsDuration(absl::Now() - lifetime->not_before),
            absl::Minutes(5));
}

TEST_F(CertificateExpiryTest, SaysThatThereIsNone) {
  std::ofstream(dir_ / "text") << "no certificate";
  for (const std::string& file :
       {dir_ / "missing", dir_.path(), dir_ / "text"}) {
    EXPECT_THAT(ReadCertificateLifetime(file),
                StatusIs(absl::StatusCode::kNotFound))
        << file;
  }
}

}  // namespace
}  // namespace nfmeter::security
