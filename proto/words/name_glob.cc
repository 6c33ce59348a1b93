// SPDX-License-Identifier: Apache-2.0
#include "proto/words/name_glob.h"

#include "absl/strings/str_replace.h"

namespace nfmeter {

bool IsGlob(absl::string_view text) {
  return text.find_first_of("*?[") != text.npos;
}

std::string GlobOfName(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"*", "[*]"}, {"?", "[?]"}, {"[", "[[]"}});
}

}  // namespace nfmeter
