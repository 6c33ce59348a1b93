// SPDX-License-Identifier: Apache-2.0
#include "cli/message_text.h"

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/type.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver.h"
#include "google/protobuf/util/type_resolver_util.h"
#include "nfmeter/v1/rule.pb.h"
#include "yaml-cpp/yaml.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
namespace util = ::google::protobuf::util;

constexpr char kTypeUrl[] = "type.googleapis.com";

// The types of this program, with the fields of a RuleMatch as if each were
// `optional`: protobuf's JSON then leaves out those at their default, while it
// prints the others'.
class ShownTypes : public util::TypeResolver {
 public:
  util::Status ResolveMessageType(const std::string& url,
                                  google::protobuf::Type* type) override {
    const util::Status status = all_->ResolveMessageType(url, type);
    if (type->name() == v1::RuleMatch::descriptor()->full_name()) {
      for (auto& field : *type->mutable_fields()) field.set_oneof_index(1);
    }
    return status;
  }
  util::Status ResolveEnumType(const std::string& url,
                               google::protobuf::Enum* type) override {
    return all_->ResolveEnumType(url, type);
  }

 private:
  const std::unique_ptr<util::TypeResolver> all_{
      util::NewTypeResolverForDescriptorPool(
          kTypeUrl, google::protobuf::DescriptorPool::generated_pool())};
};

// With map entries in the order of their keys.
std::string Serialize(const Message& message) {
  std::string wire;
  google::protobuf::io::StringOutputStream stream(&wire);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return wire;
}

// From parsed JSON to YAML. JSON does not tell its 64-bit numbers from strings,
// so descriptors go along; null within the types that have a JSON of their own.
class YamlWriter {
 public:
  void Object(const YAML::Node& node, const Descriptor* type) {
    const bool known =
        type != nullptr && !absl::StartsWith(type->full_name(), "google.");
    Members(node, [&](const std::string& key) {
      return known ? type->FindFieldByCamelcaseName(key) : nullptr;
    });
  }

  std::string Take() { return absl::StrCat(out_.c_str(), "\n"); }

 private:
  void Value(const YAML::Node& node, const FieldDescriptor* field) {
    if (field != nullptr && field->is_map()) {
      return Members(node, [field](const std::string&) {
        return field->message_type()->map_value();
      });
    }
    if (node.IsMap()) {
      return Object(node, field == nullptr ? nullptr : field->message_type());
    }
    if (node.IsSequence()) {
      if (node.size() == 0) out_ << YAML::Flow;
      out_ << YAML::BeginSeq;
      for (const YAML::Node& item : node) Value(item, field);
      out_ << YAML::EndSeq;
      return;
    }
    // yaml-cpp's tag of a scalar in quotes.
    const bool quoted = node.Tag() == "!";
    const bool number = field != nullptr &&
                        (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
                         field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64);
    if (quoted && !number) {
      String(node.Scalar());
    } else {
      out_ << node.Scalar();
    }
  }

  // `field_of` says which field the value of a key is.
  template <typename FieldOf>
  void Members(const YAML::Node& node, const FieldOf& field_of) {
    if (node.size() == 0) out_ << YAML::Flow;
    out_ << YAML::BeginMap;
    for (const auto& member : node) {
      const std::string& key = member.first.Scalar();
      out_ << YAML::Key;
      String(key);
      out_ << YAML::Value;
      Value(member.second, field_of(key));
    }
    out_ << YAML::EndMap;
  }

  // Plain where no YAML reader can take it for something else.
  void String(const std::string& text) {
    bool truth = false;
    if (text.empty() || !absl::ascii_isalpha(text[0]) ||
        YAML::convert<bool>::decode(YAML::Node(text), truth)) {
      out_ << YAML::DoubleQuoted;
    }
    out_ << text;
  }

  YAML::Emitter out_;
};

}  // namespace

std::string MessageToJson(const Message& message, JsonLayout layout) {
  static ShownTypes& types = *new ShownTypes;
  util::JsonPrintOptions options;
  options.add_whitespace = layout == JsonLayout::kLines;
  options.always_print_primitive_fields = true;
  std::string json;
  const util::Status status = util::BinaryToJsonString(
      &types,
      absl::StrCat(kTypeUrl, "/",
                   std::string(message.GetDescriptor()->full_name())),
      Serialize(message), &json, options);
  // An Any of a type that this program does not know has no JSON form.
  return status.ok() ? json : "{}";
}

std::string MessageToYaml(const Message& message) {
  YamlWriter writer;
  writer.Object(YAML::Load(MessageToJson(message, JsonLayout::kOneLine)),
                message.GetDescriptor());
  return writer.Take();
}

void SetText(google::protobuf::Struct& object, absl::string_view key,
             absl::string_view value) {
  (*object.mutable_fields())[std::string(key)].set_string_value(
      std::string(value));
}

google::protobuf::Struct Fact(absl::string_view key, absl::string_view value) {
  google::protobuf::Struct fact;
  SetText(fact, key, value);
  return fact;
}

}  // namespace nfmeter::cli
