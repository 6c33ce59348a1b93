#include "cli/message_text.h"

#include <cmath>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

// Timestamp, Duration, Any: they have a JSON form of their own, which protobuf
// knows.
bool IsWellKnown(const Message& message) {
  return absl::StartsWith(message.GetDescriptor()->full_name(),
                          "google.protobuf.");
}

std::string WellKnownJson(const Message& message) {
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text);
  // An Any of a type that this program does not know has no JSON form.
  return status.ok() ? text : "{}";
}

// The fields to print, in the order of their numbers.
std::vector<const FieldDescriptor*> ShownFields(const Message& message) {
  const bool only_set = message.GetDescriptor() == v1::RuleMatch::descriptor();
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  if (only_set) return fields;
  fields.clear();
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    // Fields that can be absent are not there unless they are set.
    if (field->has_presence() &&
        !message.GetReflection()->HasField(message, field)) {
      continue;
    }
    fields.push_back(field);
  }
  return fields;
}

// The text of one value that is no message, in both languages; `index` -1: the
// field is not repeated.
struct Scalar {
  enum Kind { kString, kNumber, kWideNumber } kind = kNumber;
  std::string text;
};

Scalar GetScalar(const Message& m, const FieldDescriptor* f, int index) {
  const Reflection* r = m.GetReflection();
  const bool one = index < 0;
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT64:
      return {Scalar::kWideNumber,
              absl::StrCat(one ? r->GetUInt64(m, f)
                               : r->GetRepeatedUInt64(m, f, index))};
    case FieldDescriptor::CPPTYPE_INT64:
      return {Scalar::kWideNumber,
              absl::StrCat(one ? r->GetInt64(m, f)
                               : r->GetRepeatedInt64(m, f, index))};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {Scalar::kNumber,
              absl::StrCat(one ? r->GetUInt32(m, f)
                               : r->GetRepeatedUInt32(m, f, index))};
    case FieldDescriptor::CPPTYPE_INT32:
      return {Scalar::kNumber,
              absl::StrCat(one ? r->GetInt32(m, f)
                               : r->GetRepeatedInt32(m, f, index))};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {Scalar::kNumber,
              (one ? r->GetBool(m, f) : r->GetRepeatedBool(m, f, index))
                  ? "true"
                  : "false"};
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number =
          one ? r->GetEnumValue(m, f) : r->GetRepeatedEnumValue(m, f, index);
      const auto* value = f->enum_type()->FindValueByNumber(number);
      if (value == nullptr) return {Scalar::kNumber, absl::StrCat(number)};
      return {Scalar::kString, value->name()};
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return {Scalar::kString,
              one ? r->GetString(m, f) : r->GetRepeatedString(m, f, index)};
    default:  // the API has no floating-point numbers
      return {Scalar::kNumber, "null"};
  }
}

const Message& GetMessage(const Message& m, const FieldDescriptor* f,
                          int index) {
  const Reflection* r = m.GetReflection();
  return index < 0 ? r->GetMessage(m, f) : r->GetRepeatedMessage(m, f, index);
}

// Positions of a map's entries, sorted by key.
std::vector<int> SortedEntries(const Message& m, const FieldDescriptor* f) {
  std::vector<int> order(m.GetReflection()->FieldSize(m, f));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  const FieldDescriptor* key = f->message_type()->map_key();
  absl::c_sort(order, [&](int a, int b) {
    return GetScalar(GetMessage(m, f, a), key, -1).text <
           GetScalar(GetMessage(m, f, b), key, -1).text;
  });
  return order;
}

class JsonWriter {
 public:
  explicit JsonWriter(JsonLayout layout)
      : lines_(layout == JsonLayout::kLines) {}

  std::string Object(const Message& message, int depth) const {
    if (IsWellKnown(message)) return WellKnownJson(message);
    std::vector<std::string> members;
    for (const FieldDescriptor* field : ShownFields(message)) {
      members.push_back(absl::StrCat(QuoteJson(field->json_name()), Colon(),
                                     Field(message, field, depth + 1)));
    }
    return Bracket('{', members, '}', depth);
  }

 private:
  absl::string_view Colon() const { return lines_ ? ": " : ":"; }

  std::string Bracket(char open, const std::vector<std::string>& members,
                      char close, int depth) const {
    std::string text(1, open);
    if (!members.empty()) {
      const std::string inner =
          lines_ ? absl::StrCat("\n", std::string(2 * depth + 2, ' ')) : "";
      absl::StrAppend(&text, inner,
                      absl::StrJoin(members, absl::StrCat(",", inner)));
      if (lines_) absl::StrAppend(&text, "\n", std::string(2 * depth, ' '));
    }
    text.push_back(close);
    return text;
  }

  std::string Value(const Message& m, const FieldDescriptor* f, int index,
                    int depth) const {
    if (f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return Object(GetMessage(m, f, index), depth);
    }
    const Scalar scalar = GetScalar(m, f, index);
    return scalar.kind == Scalar::kNumber ? scalar.text
                                          : QuoteJson(scalar.text);
  }

  std::string Field(const Message& m, const FieldDescriptor* f,
                    int depth) const {
    if (!f->is_repeated()) return Value(m, f, -1, depth);
    std::vector<std::string> members;
    if (f->is_map()) {
      for (int i : SortedEntries(m, f)) {
        const Message& entry = GetMessage(m, f, i);
        members.push_back(absl::StrCat(
            QuoteJson(GetScalar(entry, f->message_type()->map_key(), -1).text),
            Colon(),
            Value(entry, f->message_type()->map_value(), -1, depth + 1)));
      }
      return Bracket('{', members, '}', depth);
    }
    for (int i = 0; i < m.GetReflection()->FieldSize(m, f); ++i) {
      members.push_back(Value(m, f, i, depth + 1));
    }
    return Bracket('[', members, ']', depth);
  }

  const bool lines_;
};

// A string as a YAML scalar: plain where no YAML reader can take it for
// something else.
std::string YamlString(absl::string_view text) {
  const bool plain = !text.empty() && absl::ascii_isalpha(text[0]) &&
                     absl::c_all_of(text, [](char c) {
                       return absl::ascii_isalnum(c) || c == '-' || c == '_' ||
                              c == '.' || c == '/';
                     });
  constexpr absl::string_view kWords[] = {"true", "false", "yes",  "no",
                                          "on",   "off",   "null", "y",
                                          "n",    "nan",   "inf"};
  if (!plain || absl::c_any_of(kWords, [&](absl::string_view word) {
        return absl::EqualsIgnoreCase(word, text);
      })) {
    return QuoteJson(text);
  }
  return std::string(text);
}

class YamlWriter {
 public:
  // Lines of `message`, each after `indent`; "{}" when it has no fields.
  std::string Block(const Message& message, const std::string& indent) const {
    std::string text;
    for (const FieldDescriptor* f : ShownFields(message)) {
      absl::StrAppend(&text, indent, f->json_name(), ":",
                      Field(message, f, indent));
    }
    return text;
  }

 private:
  // What follows "name:", with its line feed.
  std::string Value(const Message& m, const FieldDescriptor* f, int index,
                    const std::string& indent) const {
    if (f->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      const Scalar scalar = GetScalar(m, f, index);
      return absl::StrCat(" ",
                          scalar.kind == Scalar::kString
                              ? YamlString(scalar.text)
                              : scalar.text,
                          "\n");
    }
    const Message& value = GetMessage(m, f, index);
    // JSON is YAML's flow style.
    if (IsWellKnown(value))
      return absl::StrCat(" ", WellKnownJson(value), "\n");
    const std::string block = Block(value, indent + "  ");
    return block.empty() ? " {}\n" : absl::StrCat("\n", block);
  }

  std::string Map(const Message& m, const FieldDescriptor* f,
                  const std::string& indent) const {
    std::string text = "\n";
    for (int i : SortedEntries(m, f)) {
      const Message& entry = GetMessage(m, f, i);
      absl::StrAppend(
          &text, indent, "  ",
          YamlString(GetScalar(entry, f->message_type()->map_key(), -1).text),
          ":", Value(entry, f->message_type()->map_value(), -1, indent + "  "));
    }
    return text;
  }

  std::string Field(const Message& m, const FieldDescriptor* f,
                    const std::string& indent) const {
    if (!f->is_repeated()) return Value(m, f, -1, indent);
    const int size = m.GetReflection()->FieldSize(m, f);
    if (size == 0) return f->is_map() ? " {}\n" : " []\n";
    if (f->is_map()) return Map(m, f, indent);
    std::string text = "\n";
    for (int i = 0; i < size; ++i) {
      absl::StrAppend(&text, indent, "-", Item(m, f, i, indent));
    }
    return text;
  }

  // What follows the '-' of a list: the first field stands on the same line.
  std::string Item(const Message& m, const FieldDescriptor* f, int index,
                   const std::string& indent) const {
    std::string value = Value(m, f, index, indent);
    if (value.front() != '\n') return value;
    return absl::StrCat(" ", value.substr(indent.size() + 3));
  }
};

}  // namespace

std::string QuoteJson(absl::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      quoted.push_back('\\');
      quoted.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted.push_back(c);
    }
  }
  quoted.push_back('"');
  return quoted;
}

std::string MessageToJson(const Message& message, JsonLayout layout) {
  return JsonWriter(layout).Object(message, 0);
}

std::string MessageToYaml(const Message& message) {
  const std::string text = YamlWriter().Block(message, "");
  return text.empty() ? "{}\n" : text;
}

}  // namespace nfmeter::cli
