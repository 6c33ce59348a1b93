// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/certificate_expiry.h"

#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/support/self_signed.h"
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
  testing::MakeSelfSigned(file, dir_ / "tls.key", "localhost", /*days=*/3);
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
