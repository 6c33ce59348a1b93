// SPDX-License-Identifier: GPL-3.0-or-later
// buf, the gRPC client of the tests that is not ours (Go, over reflection).
#ifndef NFMETER_TESTS_SYSTEM_BUF_CLIENT_H_
#define NFMETER_TESTS_SYSTEM_BUF_CLIENT_H_

#include <stdlib.h>
#include <unistd.h>

#include <cctype>
#include <string>

#include "absl/strings/str_cat.h"

namespace nfmeter::testing {

// Where buf is; "buf" when only PATH can tell.
inline std::string BufPath() {
  if (const char* path = getenv("NFMETER_BUF")) return path;
  const std::string root = NFMETER_SOURCE_ROOT;
  for (const char* folder : {"/.cache/npm", ""}) {
    const std::string modules = absl::StrCat(root, folder, "/node_modules/");
    // The program itself, then the script that starts it.
    for (const char* file :
         {"@bufbuild/buf-linux-x64/bin/buf",
          "@bufbuild/buf-linux-aarch64/bin/buf", ".bin/buf"}) {
      if (access((modules + file).c_str(), X_OK) == 0) return modules + file;
    }
  }
  return "buf";
}

// JSON without the blanks outside strings, which protobuf's Go library varies
// on purpose.
inline std::string Compact(const std::string& json) {
  std::string compact;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"' && (i == 0 || json[i - 1] != '\\')) quoted = !quoted;
    if (quoted || !isspace(static_cast<unsigned char>(json[i]))) {
      compact.push_back(json[i]);
    }
  }
  return compact;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_BUF_CLIENT_H_
