// SPDX-License-Identifier: Apache-2.0
#include "proto/yaml/yaml_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <unordered_set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proto/words/nearest_word.h"
#include "proto/words/quantity_words.h"

namespace nfmeter {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxWrong = 100;
// How many bytes of the text a message quotes.
constexpr size_t kMaxQuoted = 80;

// "DIRECTION_" of nfmeter.v1.Direction: what all values begin with.
std::string CommonPrefix(const EnumDescriptor* type) {
  std::string prefix = type->value(0)->name();
  for (int i = 1; i < type->value_count(); ++i) {
    const std::string& name = type->value(i)->name();
    size_t same = 0;
    while (same < std::min(prefix.size(), name.size()) &&
           prefix[same] == name[same]) {
      ++same;
    }
    prefix.resize(same);
  }
  const size_t end = prefix.rfind('_');
  return end == std::string::npos ? "" : prefix.substr(0, end + 1);
}

const EnumValueDescriptor* FindValue(const EnumDescriptor* type,
                                     const std::string& word) {
  const std::string upper =
      absl::StrReplaceAll(absl::AsciiStrToUpper(word), {{"-", "_"}});
  const EnumValueDescriptor* value = type->FindValueByName(upper);
  if (value == nullptr) {
    value = type->FindValueByName(CommonPrefix(type) + upper);
  }
  return value == nullptr || value->number() == 0 ? nullptr : value;
}

// What JSON of the API has for no value: "FAMILY_UNSPECIFIED".
bool IsNoValue(const EnumDescriptor* type, const std::string& word) {
  const EnumValueDescriptor* const value = type->FindValueByName(word);
  return value != nullptr && value->number() == 0;
}

// By the name in the API or, as its JSON has it, in camelCase; null: none.
const FieldDescriptor* FindField(const Descriptor* type,
                                 const std::string& word) {
  const FieldDescriptor* const field = type->FindFieldByName(word);
  return field != nullptr ? field : type->FindFieldByCamelcaseName(word);
}

std::string ShortName(const EnumValueDescriptor* value) {
  return absl::AsciiStrToLower(
      value->name().substr(CommonPrefix(value->type()).size()));
}

// All but the first, which stands for no value.
std::string KnownValues(const EnumDescriptor* type) {
  std::string known;
  for (int i = 0; i < type->value_count(); ++i) {
    if (type->value(i)->number() == 0) continue;
    known += (known.empty() ? "" : ", ") + ShortName(type->value(i));
  }
  return known;
}

bool IsRange(const Descriptor* type) {
  return type->full_name() == "nfmeter.v1.PortRange" ||
         type->full_name() == "nfmeter.v1.IdRange";
}

bool IsTimestamp(const Descriptor* type) {
  return type == google::protobuf::Timestamp::descriptor();
}

// Finds out whether a document has aliases.
class AliasFinder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { aliases_ = true; }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  bool aliases() const { return aliases_; }

 private:
  bool aliases_ = false;
};

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  std::vector<std::string> Read(const std::string& text, Message* message) {
    try {
      std::istringstream stream(text);
      YAML::Parser parser(stream);
      AliasFinder found;
      if (!parser.HandleNextDocument(found)) {
        return {name_ + ":1:1: there is nothing in it"};
      }
      // Aliases of aliases of aliases would fill the memory.
      if (found.aliases()) {
        return {name_ + ":1:1: aliases ('*name') are not allowed"};
      }
      if (parser.HandleNextDocument(found)) {
        return {name_ + ":1:1: only one document is allowed; this has more"};
      }
      ReadMessage(YAML::Load(text), "", message);
    } catch (const YAML::Exception& error) {
      Wrong(error.mark, "not YAML: " + error.msg);
    }
    if (count_ > wrong_.size()) {
      wrong_.push_back(name_ + ": and " +
                       std::to_string(count_ - wrong_.size()) + " more");
    }
    return std::move(wrong_);
  }

 private:
  void Wrong(const YAML::Mark& mark, const std::string& what) {
    if (++count_ > kMaxWrong) return;
    wrong_.push_back(name_ + ":" + std::to_string(mark.line + 1) + ":" +
                     std::to_string(mark.column + 1) + ": " + what);
  }

  static std::string Quoted(const std::string& text) {
    return "'" + text.substr(0, kMaxQuoted) +
           (text.size() > kMaxQuoted ? "..." : "") + "'";
  }

  void ReadMessage(const YAML::Node& node, const std::string& path,
                   Message* message) {
    if (IsRange(message->GetDescriptor()) && node.IsScalar()) {
      ReadRange(node, path, message);
      return;
    }
    if (IsTimestamp(message->GetDescriptor()) && node.IsScalar()) {
      if (!google::protobuf::util::TimeUtil::FromString(
              node.Scalar(),
              static_cast<google::protobuf::Timestamp*>(message))) {
        Wrong(node.Mark(), path + ": " + Quoted(node.Scalar()) +
                               " is no time; write 2026-01-31T12:00:00Z");
      }
      return;
    }
    if (!node.IsMap()) {
      Wrong(node.Mark(),
            (path.empty() ? "" : path + " ") +
                "must be fields, 'name: value' a line each; "
                "there are " +
                absl::StrJoin(FieldsOf(message->GetDescriptor()), ", "));
      return;
    }
    std::unordered_set<std::string> seen;
    for (const auto& entry : node) {
      const std::string word =
          entry.first.IsScalar() ? entry.first.Scalar() : "";
      const FieldDescriptor* const field =
          FindField(message->GetDescriptor(), word);
      if (field == nullptr) {
        const std::vector<std::string> known =
            FieldsOf(message->GetDescriptor());
        const std::string nearest =
            NearestWord(word, known, std::max<size_t>(1, word.size() / 3));
        Wrong(entry.first.Mark(),
              "unknown field " +
                  Quoted(path.empty() ? word : path + "." + word) +
                  (nearest.empty() ? "; there are " + absl::StrJoin(known, ", ")
                                   : "; did you mean '" + nearest + "'?"));
      } else if (!seen.insert(field->name()).second) {
        Wrong(entry.first.Mark(), Quoted(word) + " is there twice");
      } else if (CheckOneof(*message, field, entry.first)) {
        ReadField(entry.second,
                  path.empty() ? field->name() : path + "." + field->name(),
                  field, message);
      }
    }
  }

  // Refuses a second field of a oneof.
  bool CheckOneof(const Message& message, const FieldDescriptor* field,
                  const YAML::Node& word) {
    const auto* const oneof = field->real_containing_oneof();
    if (oneof == nullptr) return true;
    const FieldDescriptor* const other =
        message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (other == nullptr) return true;
    Wrong(word.Mark(), Quoted(field->name()) + " and " + Quoted(other->name()) +
                           " exclude each other");
    return false;
  }

  static std::vector<std::string> FieldsOf(const Descriptor* type) {
    std::vector<std::string> names;
    for (int i = 0; i < type->field_count(); ++i) {
      names.push_back(type->field(i)->name());
    }
    return names;
  }

  void ReadField(const YAML::Node& node, const std::string& path,
                 const FieldDescriptor* field, Message* message) {
    if (node.IsNull()) return;
    if (field->is_map()) {
      ReadMap(node, path, field, message);
    } else if (!field->is_repeated()) {
      ReadValue(node, path, field, message);
    } else if (!node.IsSequence()) {
      Wrong(node.Mark(), path + " must be a list, each member after '- '");
    } else {
      size_t i = 0;
      for (const YAML::Node& each : node) {
        ReadValue(each, path + "[" + std::to_string(i++) + "]", field, message);
      }
    }
  }

  void ReadMap(const YAML::Node& node, const std::string& path,
               const FieldDescriptor* field, Message* message) {
    if (!node.IsMap()) {
      Wrong(node.Mark(), path + " must be 'key: value', a line each");
      return;
    }
    const FieldDescriptor* const key = field->message_type()->map_key();
    const FieldDescriptor* const value = field->message_type()->map_value();
    std::unordered_set<std::string> seen;
    for (const auto& entry : node) {
      const std::string word =
          entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::string place = path + "[\"" + word + "\"]";
      if (!seen.insert(word).second) {
        Wrong(entry.first.Mark(), Quoted(word) + " is there twice in " + path);
        continue;
      }
      Message* const made =
          message->GetReflection()->AddMessage(message, field);
      ReadValue(entry.first, place, key, made);
      ReadValue(entry.second, place, value, made);
    }
  }

  void ReadRange(const YAML::Node& node, const std::string& path,
                 Message* message) {
    const std::string& text = node.Scalar();
    const size_t dash = text.find('-');
    uint32_t first = 0;
    uint32_t last = 0;
    const Descriptor* const type = message->GetDescriptor();
    if (!ReadNumber(text.substr(0, dash), &first) ||
        (dash != std::string::npos &&
         !ReadNumber(text.substr(dash + 1), &last))) {
      Wrong(node.Mark(), path + ": " + Quoted(text) +
                             " must be a number, or two as in 8000-8099");
      return;
    }
    const Reflection* const reflection = message->GetReflection();
    reflection->SetUInt32(message, type->FindFieldByName("first"), first);
    if (dash != std::string::npos) {
      reflection->SetUInt32(message, type->FindFieldByName("last"), last);
    }
  }

  template <typename T>
  static bool ReadNumber(const std::string& text, T* number) {
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, *number);
    return read.ec == std::errc() && read.ptr == end && !text.empty();
  }

  template <typename T, typename Set>
  void SetNumber(const YAML::Node& node, const std::string& path, Set set) {
    T number{};
    if (ReadNumber(node.Scalar(), &number)) {
      set(number);
    } else {
      Wrong(node.Mark(), path + ": " + Quoted(node.Scalar()) +
                             " must be a whole number" +
                             (std::is_unsigned_v<T> ? ", not below 0" : ""));
    }
  }

  // Which people write with units.
  static bool IsQuantity(const FieldDescriptor& field) {
    return !field.is_repeated() &&
           (field.name() == "bytes" || field.name() == "packets");
  }
  void SetQuantity(const YAML::Node& node, const std::string& path,
                   const FieldDescriptor* field, Message* message) {
    const bool bytes = field->name() == "bytes";
    const absl::StatusOr<uint64_t> number =
        bytes ? ParseBytes(node.Scalar()) : ParseCount(node.Scalar());
    if (number.ok()) {
      message->GetReflection()->SetUInt64(message, field, *number);
    } else {
      Wrong(node.Mark(),
            path + ": " + Quoted(node.Scalar()) +
                " must be a whole number such as 1500, " +
                (bytes ? "10MB (10^7) or 10MiB (10 * 2^20)" : "10k or 1.5M") +
                ", not below 0 and at most 2^64-1");
    }
  }

  void ReadValue(const YAML::Node& node, const std::string& path,
                 const FieldDescriptor* field, Message* message) {
    const Reflection* const reflection = message->GetReflection();
    const bool repeated = field->is_repeated();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      ReadMessage(node, path,
                  repeated ? reflection->AddMessage(message, field)
                           : reflection->MutableMessage(message, field));
      return;
    }
    if (!node.IsScalar()) {
      Wrong(node.Mark(), path + " must be a single value");
      return;
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        repeated ? reflection->AddString(message, field, node.Scalar())
                 : reflection->SetString(message, field, node.Scalar());
        return;
      case FieldDescriptor::CPPTYPE_UINT32:
        return SetNumber<uint32_t>(node, path, [&](uint32_t number) {
          repeated ? reflection->AddUInt32(message, field, number)
                   : reflection->SetUInt32(message, field, number);
        });
      case FieldDescriptor::CPPTYPE_UINT64:
        if (IsQuantity(*field)) return SetQuantity(node, path, field, message);
        return SetNumber<uint64_t>(node, path, [&](uint64_t number) {
          repeated ? reflection->AddUInt64(message, field, number)
                   : reflection->SetUInt64(message, field, number);
        });
      case FieldDescriptor::CPPTYPE_INT32:
        return SetNumber<int32_t>(node, path, [&](int32_t number) {
          repeated ? reflection->AddInt32(message, field, number)
                   : reflection->SetInt32(message, field, number);
        });
      case FieldDescriptor::CPPTYPE_INT64:
        return SetNumber<int64_t>(node, path, [&](int64_t number) {
          repeated ? reflection->AddInt64(message, field, number)
                   : reflection->SetInt64(message, field, number);
        });
      case FieldDescriptor::CPPTYPE_BOOL: {
        const std::string word = absl::AsciiStrToLower(node.Scalar());
        if (word != "true" && word != "false") {
          Wrong(node.Mark(),
                path + ": " + Quoted(node.Scalar()) + " must be true or false");
        } else {
          reflection->SetBool(message, field, word == "true");
        }
        return;
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const EnumValueDescriptor* const value =
            FindValue(field->enum_type(), node.Scalar());
        if (!repeated && IsNoValue(field->enum_type(), node.Scalar())) return;
        if (value == nullptr) {
          Wrong(node.Mark(), path + ": " + Quoted(node.Scalar()) +
                                 " must be one of " +
                                 KnownValues(field->enum_type()));
        } else if (repeated) {
          reflection->AddEnum(message, field, value);
        } else {
          reflection->SetEnum(message, field, value);
        }
        return;
      }
      default:
        Wrong(node.Mark(), path + " can't be set in a file");
    }
  }

  const std::string name_;
  std::vector<std::string> wrong_;
  size_t count_ = 0;
};

class Writer {
 public:
  std::string Write(const Message& message) {
    WriteMessage(message);
    return std::string(out_.c_str()) + "\n";
  }

 private:
  void WriteMessage(const Message& message) {
    if (IsRange(message.GetDescriptor())) {
      WriteRange(message);
      return;
    }
    if (IsTimestamp(message.GetDescriptor())) {
      out_ << google::protobuf::util::TimeUtil::ToString(
          static_cast<const google::protobuf::Timestamp&>(message));
      return;
    }
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    out_ << YAML::BeginMap;
    for (const FieldDescriptor* const field : fields) {
      out_ << YAML::Key << field->name() << YAML::Value;
      if (field->is_map()) {
        WriteMap(message, field);
      } else if (field->is_repeated()) {
        const int size = message.GetReflection()->FieldSize(message, field);
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
            IsRange(field->message_type())) {
          out_ << YAML::Flow;
        }
        out_ << YAML::BeginSeq;
        for (int i = 0; i < size; ++i) WriteValue(message, field, i);
        out_ << YAML::EndSeq;
      } else {
        WriteValue(message, field, -1);
      }
    }
    out_ << YAML::EndMap;
  }

  void WriteRange(const Message& message) {
    const Descriptor* const type = message.GetDescriptor();
    const Reflection* const reflection = message.GetReflection();
    const FieldDescriptor* const last = type->FindFieldByName("last");
    const uint32_t first =
        reflection->GetUInt32(message, type->FindFieldByName("first"));
    if (!reflection->HasField(message, last)) {
      out_ << first;
    } else {
      out_ << std::to_string(first) + "-" +
                  std::to_string(reflection->GetUInt32(message, last));
    }
  }

  // In the order of keys, as a map in memory has none.
  void WriteMap(const Message& message, const FieldDescriptor* field) {
    const Reflection* const reflection = message.GetReflection();
    std::vector<const Message*> entries;
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      entries.push_back(&reflection->GetRepeatedMessage(message, field, i));
    }
    const FieldDescriptor* const key = field->message_type()->map_key();
    const FieldDescriptor* const value = field->message_type()->map_value();
    const auto key_of = [&](const Message* entry) {
      return entry->GetReflection()->GetString(*entry, key);
    };
    std::sort(entries.begin(), entries.end(),
              [&](const Message* a, const Message* b) {
                return key_of(a) < key_of(b);
              });
    out_ << YAML::BeginMap;
    for (const Message* const entry : entries) {
      out_ << YAML::Key << key_of(entry) << YAML::Value;
      WriteValue(*entry, value, -1);
    }
    out_ << YAML::EndMap;
  }

  // `index` -1: not repeated.
  void WriteValue(const Message& message, const FieldDescriptor* field,
                  int index) {
    const Reflection* const r = message.GetReflection();
    const bool one = index < 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return WriteMessage(one ? r->GetMessage(message, field)
                                : r->GetRepeatedMessage(message, field, index));
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text =
            one ? r->GetString(message, field)
                : r->GetRepeatedString(message, field, index);
        out_ << text;
        return;
      }
      case FieldDescriptor::CPPTYPE_ENUM:
        out_ << ShortName(one ? r->GetEnum(message, field)
                              : r->GetRepeatedEnum(message, field, index));
        return;
      default: {
        std::string text;
        google::protobuf::TextFormat::PrintFieldValueToString(message, field,
                                                              index, &text);
        out_ << text;
      }
    }
  }

  YAML::Emitter out_;
};

}  // namespace

std::vector<std::string> ReadYaml(const std::string& text,
                                  const std::string& name, Message* message) {
  return Reader(name).Read(text, message);
}

std::string WriteYaml(const Message& message) {
  return Writer().Write(message);
}

}  // namespace nfmeter
