// SPDX-License-Identifier: Apache-2.0
#include "client/src/words.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace nfmeter {
namespace {

using ::google::protobuf::EnumDescriptor;

// "VERDICT_": what goes before UNSPECIFIED, the first value of each enum.
absl::string_view Prefix(const EnumDescriptor* type) {
  return absl::StripSuffix(type->value(0)->name(), "UNSPECIFIED");
}

}  // namespace

std::string CountOf(uint64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string EnumWord(const EnumDescriptor* type, int value) {
  const auto* const found = type->FindValueByNumber(value);
  return found == nullptr
             ? absl::StrCat(value)
             : std::string(absl::StripPrefix(found->name(), Prefix(type)));
}

std::vector<std::string> EnumWords(const EnumDescriptor* type) {
  std::vector<std::string> words;
  for (int i = 1; i < type->value_count(); ++i) {
    words.push_back(EnumWord(type, type->value(i)->number()));
  }
  return words;
}

int FindEnumWord(const EnumDescriptor* type, absl::string_view word) {
  const auto* const found = type->FindValueByName(
      absl::StrCat(Prefix(type), absl::AsciiStrToUpper(word)));
  return found == nullptr ? 0 : found->number();
}

}  // namespace nfmeter
