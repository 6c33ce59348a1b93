// SPDX-License-Identifier: Apache-2.0
// nfmeter explain: what objects and their fields mean, in the words of the
// protos' comments.
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/table.h"
#include "client/src/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
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

template <typename T>
std::string Comment(const T& described) {
  google::protobuf::SourceLocation location;
  if (!described.GetSourceLocation(&location)) return "";
  std::string text = location.leading_comments.empty()
                         ? location.trailing_comments
                         : location.leading_comments;
  absl::StripAsciiWhitespace(&text);
  return text;
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

// Words on lines of `width` columns, each behind `indent` blanks. An empty line
// of the comment stays one.
std::string Paragraphs(absl::string_view comment, size_t indent, size_t width) {
  std::string text;
  std::vector<absl::string_view> words;
  const auto flush = [&] {
    if (words.empty()) return;
    absl::StrAppend(&text, std::string(indent, ' '),
                    Wrap(absl::StrJoin(words, " "), indent, width - indent),
                    "\n");
    words.clear();
  };
  for (absl::string_view row : absl::StrSplit(comment, '\n')) {
    if (absl::StripAsciiWhitespace(row).empty()) {
      flush();
      text += "\n";
    }
    for (absl::string_view word : absl::StrSplit(row, ' ', absl::SkipEmpty())) {
      words.push_back(word);
    }
  }
  flush();
  return text;
}

std::string EnumText(const EnumDescriptor& values, size_t width) {
  std::string text = "\nVALUES\n";
  for (int i = 0; i < values.value_count(); ++i) {
    if (values.value(i)->number() == 0) continue;
    absl::StrAppend(&text, "  ", values.value(i)->name(), "\n",
                    Paragraphs(Comment(*values.value(i)), kIndent, width));
  }
  return text;
}

std::string FieldsText(const Descriptor& message, size_t width) {
  std::string text = "\nFIELDS\n";
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    absl::StrAppend(&text, "  ", std::string(field.json_name()), "  <",
                    TypeName(field), ">\n",
                    Paragraphs(Comment(field), kIndent, width));
  }
  return text;
}

std::string ListOfObjects() {
  std::string text =
      "What can be explained, and each of its fields ('nfmeter explain "
      "counter.quota'):\n";
  for (const Descriptor* message : Messages()) {
    if (!IsObject(*message)) continue;
    const std::string comment = Comment(*message);
    absl::StrAppend(
        &text, "  ", absl::AsciiStrToLower(message->name()),
        std::string(22 - std::min<size_t>(21, message->name().size()), ' '),
        comment.substr(0, comment.find_first_of(".:\n")), "\n");
  }
  return text;
}

std::vector<std::string> ObjectNames() {
  std::vector<std::string> names;
  for (const Descriptor* message : Messages()) {
    if (!IsObject(*message)) continue;
    names.push_back(absl::AsciiStrToLower(message->name()));
  }
  return names;
}

// Of "counter" or "counter.quota.bytes"; NOT_FOUND says where the path ends.
absl::StatusOr<std::string> Explanation(const std::string& path, size_t width) {
  const std::vector<std::string> words = absl::StrSplit(path, '.');
  const Descriptor* message = FindObject(words[0]);
  if (message == nullptr) {
    const std::string nearest =
        NearestWord(absl::AsciiStrToLower(words[0]), ObjectNames(), 2);
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
  std::string text =
      field == nullptr
          ? absl::StrCat(path, "\n",
                         Paragraphs(Comment(*message), kIndent, width))
          : absl::StrCat(path, "  <", TypeName(*field), ">\n",
                         Paragraphs(Comment(*field), kIndent, width));
  // Of a type of ours what it is, too.
  const bool ours =
      message != nullptr && absl::StartsWith(message->full_name(), kPackage);
  if (field != nullptr && ours) {
    absl::StrAppend(&text, "\n", message->name(), "\n",
                    Paragraphs(Comment(*message), kIndent, width));
  }
  if (ours) absl::StrAppend(&text, FieldsText(*message, width));
  if (field != nullptr && field->enum_type() != nullptr) {
    absl::StrAppend(&text, EnumText(*field->enum_type(), width));
  }
  return text;
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
        Console& console = session.console();
        if (path->empty()) {
          console.out << ListOfObjects();
          return absl::OkStatus();
        }
        const size_t width =
            console.out_is_terminal ? console.size().columns : 80;
        NFM_ASSIGN_OR_RETURN(const auto text, Explanation(*path, width));
        console.out << text;
        return absl::OkStatus();
      });
  tree.MarkLocal(command);
  tree.Suggest(command->add_option("PATH", *path,
                                   "an object and its fields, with dots "
                                   "between"),
               [](const auto&) { return ObjectNames(); });
}

}  // namespace nfmeter::cli
