// SPDX-License-Identifier: Apache-2.0
// nfmeter explain: what objects and their fields mean, in the words of the
// protos' comments.
#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/api_words.h"
#include "cli/columns.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/message_text.h"
#include "cli/table.h"
#include "client/src/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/struct.pb.h"
#include "proto/words/nearest_word.h"

// A FileDescriptorSet of the API with its comments, which generated code has
// no room for.
asm(".pushsection .rodata\n"
    "nfmeter_api_start: .incbin \"" NFMETER_API_DESCRIPTORS
    "\"\n"
    "nfmeter_api_end:\n"
    ".popsection");
extern "C" {
extern const char nfmeter_api_start[];
extern const char nfmeter_api_end[];
}

namespace nfmeter::cli {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::DescriptorPool;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::FileDescriptor;

constexpr char kPackage[] = "nfmeter.v1.";
constexpr size_t kIndent = 4;

// All messages of the API, file by file.
const std::vector<const Descriptor*>& Messages() {
  static const auto& messages = *[] {
    auto* pool = new DescriptorPool;
    auto* found = new std::vector<const Descriptor*>;
    google::protobuf::FileDescriptorSet files;
    files.ParseFromArray(nfmeter_api_start,
                         static_cast<int>(nfmeter_api_end - nfmeter_api_start));
    for (const auto& file : files.file()) {
      const FileDescriptor* built = pool->BuildFile(file);
      if (!absl::StartsWith(file.package(), "nfmeter.")) continue;
      for (int i = 0; i < built->message_type_count(); ++i) {
        found->push_back(built->message_type(i));
      }
    }
    return found;
  }();
  return messages;
}

// Requests, answers and their like are for programs.
bool IsObject(const Descriptor& message) {
  for (const absl::string_view ending : {"Request", "Response"}) {
    if (absl::EndsWith(message.name(), ending)) return false;
  }
  return true;
}

const Descriptor* FindObject(absl::string_view name) {
  for (const Descriptor* message : Messages()) {
    if (absl::EqualsIgnoreCase(message->name(), name)) return message;
  }
  return nullptr;
}

// "sourcePorts" or "source_ports", as JSON or the protos have it.
const FieldDescriptor* FindField(const Descriptor& message,
                                 const std::string& name) {
  const FieldDescriptor* field = message.FindFieldByName(name);
  return field != nullptr ? field : message.FindFieldByCamelcaseName(name);
}

// Names of the API's fields that JSON has in another form.
const std::map<std::string, std::string, std::less<>>& JsonNames() {
  static const auto& names = *[] {
    auto* found = new std::map<std::string, std::string, std::less<>>;
    for (const Descriptor* message : Messages()) {
      for (int i = 0; i < message->field_count(); ++i) {
        const FieldDescriptor& field = *message->field(i);
        if (field.name() != field.json_name()) {
          found->emplace(field.name(), field.json_name());
        }
      }
    }
    return found;
  }();
  return names;
}

// Fields as -o json names them, methods as commands. That of a path, as in
// "nfmeter.v1.RuleService/CreateRule", is what the server prints: it stays.
std::string InReadersWords(absl::string_view comment) {
  const auto is_of_word = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  std::string text;
  while (!comment.empty()) {
    const auto end =
        std::find_if_not(comment.begin(), comment.end(), is_of_word);
    const absl::string_view word = comment.substr(0, end - comment.begin());
    const absl::string_view rest = comment.substr(word.size());
    if (absl::EndsWith(word, "Service") && rest.size() > 1 &&
        rest.front() == '.' && absl::ascii_isupper(rest[1])) {
      comment = rest.substr(1);  // "UsageService.ListGaps" is known as the last
      continue;
    }
    const auto field = JsonNames().find(word);
    if (field != JsonNames().end()) {
      text += field->second;
    } else if (absl::EndsWith(text, "/")) {
      absl::StrAppend(&text, word);
    } else {
      text += InCommandWords(word);
    }
    if (rest.empty()) break;
    text += rest.front();
    comment = rest.substr(1);
  }
  return text;
}

// Each paragraph is a line, with an empty one between.
template <typename T>
std::string Comment(const T& described) {
  google::protobuf::SourceLocation location;
  if (!described.GetSourceLocation(&location)) return "";
  std::vector<std::string> paragraphs;
  for (absl::string_view paragraph : absl::StrSplit(
           location.leading_comments.empty() ? location.trailing_comments
                                             : location.leading_comments,
           "\n\n", absl::SkipWhitespace())) {
    paragraphs.emplace_back(paragraph);
    absl::RemoveExtraAsciiWhitespace(&paragraphs.back());
  }
  return InReadersWords(absl::StrJoin(paragraphs, "\n\n"));
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return absl::StrCat("map of ", TypeName(*entry.map_key()), " to ",
                        TypeName(*entry.map_value()));
  }
  const std::string list = field.is_repeated() ? "list of " : "";
  if (field.message_type() != nullptr) {
    return absl::StrCat(list, field.message_type()->name());
  }
  if (field.enum_type() != nullptr) {
    return absl::StrCat(list, field.enum_type()->name());
  }
  return absl::StrCat(list, field.type_name());
}

// An object, a field, or a value of an enum.
struct Entry {
  std::string name;  // of a field its path, "counter.quota"
  std::string type;  // of a field
  std::string description;
};

// What is known of a path, or of the API where `subject` has no name.
struct Explanation {
  Entry subject;
  // Of a field that is one of the API's objects: what that is.
  std::string type_description;
  std::string kind;  // of `parts`: "objects", "fields", "values"
  std::vector<Entry> parts;
};

Explanation ExplainObjects() {
  Explanation all = {.kind = "objects"};
  for (const Descriptor* message : Messages()) {
    if (!IsObject(*message)) continue;
    all.parts.push_back({.name = absl::AsciiStrToLower(message->name()),
                         .description = Comment(*message)});
  }
  return all;
}

std::vector<std::string> NamesOfParts(const Explanation& explanation) {
  std::vector<std::string> names;
  for (const Entry& part : explanation.parts) names.push_back(part.name);
  return names;
}

// Of "counter" or "counter.quota.bytes"; NOT_FOUND says where the path ends.
absl::StatusOr<Explanation> Explain(const std::string& path) {
  const std::vector<std::string> words = absl::StrSplit(path, '.');
  const Descriptor* message = FindObject(words[0]);
  if (message == nullptr) {
    const std::string nearest = NearestWord(absl::AsciiStrToLower(words[0]),
                                            NamesOfParts(ExplainObjects()), 2);
    return WithHint(
        absl::NotFoundError(absl::StrCat("there is no '", words[0], "'")),
        nearest.empty() ? "'nfmeter explain' lists what can be explained"
                        : absl::StrCat("did you mean ", nearest, "?"));
  }
  const FieldDescriptor* field = nullptr;
  for (size_t i = 1; i < words.size(); ++i) {
    field = message == nullptr ? nullptr : FindField(*message, words[i]);
    if (field == nullptr) {
      const std::string above =
          absl::StrJoin(words.begin(), words.begin() + i, ".");
      const absl::Status none = absl::NotFoundError(
          absl::StrCat("'", above, "' has no field '", words[i], "'"));
      return message == nullptr
                 ? none
                 : WithHint(none, absl::StrCat("'nfmeter explain ", above,
                                               "' lists them"));
    }
    message = field->is_map() ? nullptr : field->message_type();
  }
  Explanation explanation = {.subject = {.name = path}};
  if (field == nullptr) {
    explanation.subject.description = Comment(*message);
  } else {
    explanation.subject.type = TypeName(*field);
    explanation.subject.description = Comment(*field);
  }
  if (message != nullptr && absl::StartsWith(message->full_name(), kPackage)) {
    if (field != nullptr) explanation.type_description = Comment(*message);
    explanation.kind = "fields";
    for (int i = 0; i < message->field_count(); ++i) {
      const FieldDescriptor& part = *message->field(i);
      explanation.parts.push_back(
          {.name = absl::StrCat(path, ".", std::string(part.json_name())),
           .type = TypeName(part),
           .description = Comment(part)});
    }
  }
  if (field != nullptr && field->enum_type() != nullptr) {
    explanation.kind = "values";
    for (int i = 0; i < field->enum_type()->value_count(); ++i) {
      const auto& value = *field->enum_type()->value(i);
      if (value.number() == 0) continue;
      explanation.parts.push_back(
          {.name = value.name(), .description = Comment(value)});
    }
  }
  return explanation;
}

// --- How it is printed

// Words on lines of `width` columns, each behind the indent.
std::string Indented(absl::string_view description, size_t width) {
  std::string text;
  for (absl::string_view paragraph : absl::StrSplit(description, "\n\n")) {
    if (paragraph.empty()) continue;
    absl::StrAppend(&text, text.empty() ? "" : "\n", std::string(kIndent, ' '),
                    Wrap(paragraph, kIndent, width - kIndent), "\n");
  }
  return text;
}

std::string TypeText(const Entry& entry) {
  return entry.type.empty() ? "" : absl::StrCat("  <", entry.type, ">");
}

std::string ObjectsText(const Explanation& all, size_t width) {
  constexpr size_t kColumn = 24;
  std::string text =
      "What can be explained, and each of its fields ('nfmeter explain "
      "counter.quota'):\n";
  for (const Entry& object : all.parts) {
    const absl::string_view sentence =
        absl::string_view(object.description)
            .substr(0, object.description.find_first_of(".:\n"));
    absl::StrAppend(
        &text, "  ", object.name,
        std::string(kColumn - std::min(kColumn - 3, object.name.size() + 2),
                    ' '),
        Wrap(sentence, kColumn, width - kColumn), "\n");
  }
  return text;
}

std::string ExplanationText(const Explanation& explanation, size_t width) {
  const Entry& subject = explanation.subject;
  if (subject.name.empty()) return ObjectsText(explanation, width);
  std::string text = absl::StrCat(subject.name, TypeText(subject), "\n",
                                  Indented(subject.description, width));
  if (!explanation.type_description.empty()) {
    absl::StrAppend(&text, "\n", subject.type, "\n",
                    Indented(explanation.type_description, width));
  }
  if (explanation.parts.empty()) return text;
  absl::StrAppend(&text, "\n", absl::AsciiStrToUpper(explanation.kind), "\n");
  for (const Entry& part : explanation.parts) {
    absl::StrAppend(&text, "  ", part.name.substr(part.name.rfind('.') + 1),
                    TypeText(part), "\n", Indented(part.description, width));
  }
  return text;
}

Table ExplanationTable(const Explanation& explanation) {
  std::vector<Entry> entries = explanation.parts;
  if (!explanation.subject.name.empty()) {
    entries.insert(entries.begin(), explanation.subject);
  }
  static const auto& columns = *new std::vector<Column<Entry>>{
      PlainColumn<Entry>("", "name", kCsv, &Entry::name),
      PlainColumn<Entry>("", "type", kCsv, &Entry::type),
      PlainColumn<Entry>("", "description", kCsv, &Entry::description)};
  return MakeTable<Entry>(columns, entries, kCsv);
}

google::protobuf::Struct Message(const Entry& entry) {
  google::protobuf::Struct object;
  const auto set = [&object](const char* key, const std::string& value) {
    if (!value.empty()) SetText(object, key, value);
  };
  set("name", entry.name);
  set("type", entry.type);
  set("description", entry.description);
  return object;
}

google::protobuf::Struct Message(const Explanation& explanation) {
  google::protobuf::Struct message = Message(explanation.subject);
  auto& fields = *message.mutable_fields();
  if (!explanation.type_description.empty()) {
    SetText(message, "typeDescription", explanation.type_description);
  }
  for (const Entry& part : explanation.parts) {
    *fields[explanation.kind]
         .mutable_list_value()
         ->add_values()
         ->mutable_struct_value() = Message(part);
  }
  return message;
}

}  // namespace

void AddExplainCommand(CommandTree& tree) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = tree.AddCommand(
      tree.root(), "explain", "Say what an object and its fields mean",
      R"(Fields have the names that -o json gives them. Without an argument it lists
what can be explained.

Examples:
  nfmeter explain counter
  nfmeter explain counter.quota
  nfmeter explain rule.match.sourcePorts)",
      [path](Session& session) -> absl::Status {
        Explanation explanation = ExplainObjects();
        if (!path->empty()) {
          NFM_ASSIGN_OR_RETURN(explanation, Explain(*path));
        }
        const Console& console = session.console();
        const size_t width =
            console.out_is_terminal ? console.size().columns : 80;
        session.PrintText(
            Message(explanation), ExplanationTable(explanation),
            [&](Layout) { return ExplanationText(explanation, width); },
            NamesOfParts(explanation));
        return absl::OkStatus();
      });
  tree.MarkLocal(command);
  tree.Suggest(
      command->add_option("PATH", *path,
                          "an object and its fields, with dots between"),
      [](const auto&) { return NamesOfParts(ExplainObjects()); });
}

}  // namespace nfmeter::cli
