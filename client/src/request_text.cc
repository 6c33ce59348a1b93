// SPDX-License-Identifier: Apache-2.0
#include "client/src/request_text.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/src/payload.h"
#include "client/src/status.h"
#include "google/protobuf/descriptor.h"
#include "google/rpc/error_details.pb.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int kMostNamed = 10;
constexpr size_t kMostShown = 64;

bool IsUtf8(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const uint8_t lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < size) return false;
    for (size_t k = 1; k < size; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    // Overlong forms, surrogates, and beyond U+10FFFF.
    const uint8_t second = byte(i + 1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += size;
  }
  return true;
}

class Checker {
 public:
  void Check(const Message& message, const std::string& path) {
    const auto* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const bool is_text = field->type() == FieldDescriptor::TYPE_STRING;
      if (!is_text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        continue;
      }
      const std::string name = absl::StrCat(path, field->name());
      if (!field->is_repeated()) {
        is_text ? CheckOne(
                      reflection->GetStringReference(message, field, &scratch_),
                      name)
                : Check(reflection->GetMessage(message, field), name + ".");
        continue;
      }
      const int size = reflection->FieldSize(message, field);
      for (int i = 0; i < size; ++i) {
        const std::string item = absl::StrCat(name, "[", i, "]");
        is_text ? CheckOne(reflection->GetRepeatedStringReference(
                               message, field, i, &scratch_),
                           item)
                : Check(reflection->GetRepeatedMessage(message, field, i),
                        item + ".");
      }
    }
  }

  absl::Status status() const {
    if (wrong_.field_violations().empty()) return absl::OkStatus();
    std::string sentence;
    for (const auto& violation : wrong_.field_violations()) {
      absl::StrAppend(&sentence, sentence.empty() ? "" : "; ",
                      violation.field(), ": ", violation.description());
    }
    absl::Status status = ClientError(absl::StatusCode::kInvalidArgument,
                                      reason::kBadText, sentence, "");
    SetPayload(wrong_, &status);
    return status;
  }

 private:
  void CheckOne(const std::string& text, const std::string& field) {
    if (IsUtf8(text) || wrong_.field_violations_size() == kMostNamed) return;
    auto* violation = wrong_.add_field_violations();
    violation->set_field(field);
    violation->set_description(absl::StrCat(
        "'", absl::CHexEscape(absl::string_view(text).substr(0, kMostShown)),
        "' is not UTF-8"));
  }

  std::string scratch_;
  google::rpc::BadRequest wrong_;
};

}  // namespace

absl::Status CheckText(const Message& request) {
  Checker checker;
  checker.Check(request, "");
  return checker.status();
}

}  // namespace nfmeter::client_internal
