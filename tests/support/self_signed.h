// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_TESTS_SUPPORT_SELF_SIGNED_H_
#define NFMETER_TESTS_SUPPORT_SELF_SIGNED_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Writes a key and a certificate of `host` that is its own authority: a server,
// its clients and whoever verifies them can share it.
inline void MakeSelfSigned(const std::string& certificate,
                           const std::string& key,
                           const std::string& host = "localhost",
                           int days = 2) {
  const RunResult made =
      Run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-nodes", "-days",
           absl::StrCat(days), "-subj", absl::StrCat("/CN=", host), "-addext",
           absl::StrCat("subjectAltName=DNS:", host), "-keyout", key, "-out",
           certificate});
  ASSERT_EQ(made.exit_code, 0) << made.err;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_SELF_SIGNED_H_
