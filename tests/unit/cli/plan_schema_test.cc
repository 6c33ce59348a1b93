// SPDX-License-Identifier: GPL-3.0-or-later
// docs/plan.schema.json, by which editors complete and check plan files, says
// what plan.proto says. It is made from the protos: where this test fails, run
// it with UPDATE_PLAN_SCHEMA=yes, and look at the difference.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "proto/yaml/yaml_message.h"
#include "tests/support/read_file.h"

namespace nfmeter {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;

constexpr char kSchemaFile[] = NFMETER_SOURCE_DIR "/docs/plan.schema.json";

std::string Quoted(absl::string_view text) {
  return absl::StrCat(
      "\"",
      absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", " "}}),
      "\"");
}

// The comment before a field or message, on one line.
template <typename Thing>
std::string CommentOf(const Thing* thing) {
  google::protobuf::SourceLocation location;
  thing->GetSourceLocation(&location);
  std::string text = location.leading_comments;
  absl::RemoveExtraAsciiWhitespace(&text);
  return text;
}

bool IsOutput(const FieldDescriptor* field) {
  return absl::StartsWith(CommentOf(field), "Output only.");
}

bool IsRange(const Descriptor* type) {
  return type->name() == "PortRange" || type->name() == "IdRange";
}

// As ReadYaml() takes enums: without what all values begin with.
std::vector<std::string> WordsOf(const EnumDescriptor* type) {
  std::string prefix = type->value(0)->name();
  prefix.resize(prefix.size() - std::string("UNSPECIFIED").size());
  std::vector<std::string> words;
  for (int i = 1; i < type->value_count(); ++i) {
    words.push_back(absl::AsciiStrToLower(
        absl::string_view(type->value(i)->name()).substr(prefix.size())));
  }
  return words;
}

class Schema {
 public:
  std::string Of(const Descriptor* root) {
    std::string text = absl::StrCat(
        "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
        "  \"title\": \"nfmeter plan\",\n  \"$ref\": \"#/definitions/",
        root->name(), "\",\n  \"definitions\": {\n");
    wanted_.push_back(root);
    std::vector<std::string> definitions;
    for (size_t i = 0; i < wanted_.size(); ++i) {
      definitions.push_back(absl::StrCat("    ", Quoted(wanted_[i]->name()),
                                         ": ", Definition(wanted_[i])));
    }
    absl::StrAppend(&text, absl::StrJoin(definitions, ",\n"), "\n  }\n}\n");
    return text;
  }

 private:
  std::string Definition(const Descriptor* type) {
    std::vector<std::string> properties;
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* const field = type->field(i);
      if (IsOutput(field)) continue;
      properties.push_back(absl::StrCat(
          "        ", Quoted(field->name()), ": {\"description\": ",
          Quoted(CommentOf(field)), ", ", Shape(field), "}"));
    }
    std::string text = absl::StrCat(
        "{\n      \"description\": ", Quoted(CommentOf(type)),
        ",\n      \"type\": \"object\",\n      \"additionalProperties\": "
        "false,\n");
    for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
      std::vector<std::string> names;
      for (int j = 0; j < type->oneof_decl(i)->field_count(); ++j) {
        names.push_back(Quoted(type->oneof_decl(i)->field(j)->name()));
      }
      absl::StrAppend(&text, "      \"not\": {\"required\": [",
                      absl::StrJoin(names, ", "), "]},\n");
    }
    absl::StrAppend(&text, "      \"properties\": {\n",
                    absl::StrJoin(properties, ",\n"), "\n      }\n    }");
    return text;
  }

  // What follows behind the description.
  std::string Shape(const FieldDescriptor* field) {
    if (field->is_map()) {
      return absl::StrCat("\"type\": \"object\", \"additionalProperties\": {",
                          One(field->message_type()->map_value()), "}");
    }
    if (field->is_repeated()) {
      return absl::StrCat("\"type\": \"array\", \"items\": {", One(field), "}");
    }
    return One(field);
  }

  std::string One(const FieldDescriptor* field) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        // A name of digits is a name.
        return "\"type\": [\"string\", \"number\"]";
      case FieldDescriptor::CPPTYPE_BOOL:
        return "\"type\": \"boolean\"";
      case FieldDescriptor::CPPTYPE_UINT32:
        return "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 4294967295";
      case FieldDescriptor::CPPTYPE_UINT64:
        // All of a plan's are packets or bytes: 10k, 1.5GB, 10MiB.
        return "\"type\": [\"integer\", \"string\"], \"minimum\": 0, "
               "\"pattern\": \"^[0-9.]+([kKmMgGtTpPeE]i?)?[bB]?$\"";
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64:
        return "\"type\": \"integer\"";
      case FieldDescriptor::CPPTYPE_ENUM: {
        std::vector<std::string> words;
        for (const std::string& word : WordsOf(field->enum_type())) {
          words.push_back(Quoted(word));
        }
        return absl::StrCat("\"enum\": [", absl::StrJoin(words, ", "), "]");
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return OfMessage(field->message_type());
      default:
        ADD_FAILURE() << field->full_name() << " has a type that no plan had";
        return "\"not\": {}";
    }
  }

  std::string OfMessage(const Descriptor* type) {
    if (type->full_name() == "google.protobuf.Timestamp") {
      return "\"type\": \"string\", \"format\": \"date-time\"";
    }
    if (std::find(wanted_.begin(), wanted_.end(), type) == wanted_.end()) {
      wanted_.push_back(type);
    }
    const std::string reference =
        absl::StrCat("\"$ref\": \"#/definitions/", type->name(), "\"");
    if (!IsRange(type)) {
      // Beside "$ref" nothing else counts.
      return absl::StrCat("\"allOf\": [{", reference, "}]");
    }
    return absl::StrCat(
        "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0}, {\"type\": "
        "\"string\", \"pattern\": \"^[0-9]+(-[0-9]+)?$\"}, {",
        reference, "}]");
  }

  std::vector<const Descriptor*> wanted_;  // in the order of their mention
};

// The protos with their comments, which generated code does not keep.
class PlanSchemaTest : public ::testing::Test {
 protected:
  const Descriptor* PlanMessage() {
    google::protobuf::FileDescriptorSet files;
    std::ifstream in(NFMETER_API_DESCRIPTORS, std::ios::binary);
    EXPECT_TRUE(files.ParseFromIstream(&in)) << NFMETER_API_DESCRIPTORS;
    for (const auto& file : files.file()) pool_.BuildFile(file);
    return pool_.FindMessageTypeByName("nfmeter.v1.Plan");
  }

  google::protobuf::DescriptorPool pool_;
};

TEST_F(PlanSchemaTest, TheFileIsAsTheProtosAre) {
  const std::string made = Schema().Of(PlanMessage());
  if (getenv("UPDATE_PLAN_SCHEMA") != nullptr) {
    std::ofstream(kSchemaFile) << made;
  }
  EXPECT_EQ(testing::ReadFile(kSchemaFile), made)
      << "run this test with UPDATE_PLAN_SCHEMA=yes to write it anew";
}

// What the schema lets one write of enums is what files are read with.
TEST_F(PlanSchemaTest, ItsWordsAreThoseOfFiles) {
  std::vector<const Descriptor*> types = {PlanMessage()};
  size_t enums = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    for (int j = 0; j < types[i]->field_count(); ++j) {
      const FieldDescriptor* const field = types[i]->field(j);
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
          std::find(types.begin(), types.end(), field->message_type()) ==
              types.end()) {
        types.push_back(field->message_type());
      }
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) continue;
      const auto* const generated =
          google::protobuf::DescriptorPool::generated_pool()
              ->FindMessageTypeByName(types[i]->full_name());
      ASSERT_NE(generated, nullptr) << types[i]->full_name();
      for (const std::string& word : WordsOf(field->enum_type())) {
        const std::unique_ptr<google::protobuf::Message> message(
            google::protobuf::MessageFactory::generated_factory()
                ->GetPrototype(generated)
                ->New());
        EXPECT_THAT(ReadYaml(absl::StrCat(field->name(), ": ",
                                          field->is_repeated() ? "[" : "", word,
                                          field->is_repeated() ? "]" : ""),
                             "plan", message.get()),
                    ::testing::IsEmpty())
            << field->full_name();
        ++enums;
      }
    }
  }
  EXPECT_GT(enums, 10u);
}

}  // namespace
}  // namespace nfmeter
