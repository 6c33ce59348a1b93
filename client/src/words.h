// SPDX-License-Identifier: Apache-2.0
// Words in which the command and the collector say the same things.
#ifndef NFMETER_CLIENT_SRC_WORDS_H_
#define NFMETER_CLIENT_SRC_WORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace nfmeter {

// "1 counter", "3 counters".
std::string CountOf(uint64_t count, absl::string_view what);

// Values of the API's enums, without what the names of an enum begin with:
// "DROP" for VERDICT_DROP. One that this program does not know is its number.
std::string EnumWord(const google::protobuf::EnumDescriptor* type, int value);
template <typename Enum>
std::string EnumWord(Enum value) {
  return EnumWord(google::protobuf::GetEnumDescriptor<Enum>(), value);
}
// All of them but UNSPECIFIED.
std::vector<std::string> EnumWords(
    const google::protobuf::EnumDescriptor* type);
// The value of a word, in letters of any case; 0: there is no such word.
int FindEnumWord(const google::protobuf::EnumDescriptor* type,
                 absl::string_view word);

}  // namespace nfmeter

#endif  // NFMETER_CLIENT_SRC_WORDS_H_
