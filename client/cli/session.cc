// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/errors.h"
#include "cli/message_text.h"
#include "cli/quantity.h"
#include "cli/table.h"
#include "client/src/status_macros.h"
#include "google/protobuf/wrappers.pb.h"

namespace nfmeter::cli {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);

Format ParseFormat(absl::string_view name) {
  if (name == "wide") return Format::kWide;
  if (name == "json") return Format::kJson;
  if (name == "yaml") return Format::kYaml;
  if (name == "csv") return Format::kCsv;
  if (name == "name") return Format::kName;
  if (absl::StartsWith(name, kCustomColumns)) return Format::kColumns;
  return Format::kTable;
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool UseColor(const GlobalFlags& flags, bool terminal) {
  if (flags.no_color || flags.color == "never") return false;
  if (flags.color == "always") return true;
  return terminal && !IsSet("NO_COLOR");
}

}  // namespace

Session::Session(Console& console, const GlobalFlags& flags)
    : console_(console),
      flags_(flags),
      format_(ParseFormat(flags.format)),
      color_(UseColor(flags, console.out_is_terminal)),
      error_color_(UseColor(flags, console.err_is_terminal)) {
  if (format_ == Format::kColumns) {
    columns_ =
        ParseCustomColumns(absl::StripPrefix(flags.format, kCustomColumns))
            .value_or(columns_);
  }
  // Without it large batches have longer, see CallOptions.
  if (!flags.timeout.empty()) {
    call_.timeout = ParseDuration(flags.timeout).value_or(kDefaultTimeout);
  }
}

Layout Session::layout() const {
  if (format_ == Format::kWide) return Layout::kWide;
  if (format_ == Format::kCsv) return Layout::kCsv;
  return Layout::kTable;
}

bool Session::for_people() const {
  return format_ == Format::kTable || format_ == Format::kWide;
}

absl::StatusOr<Client*> Session::client() {
  if (client_ != nullptr) return client_.get();
  ClientOptions options;
  options.address = flags_.server;
  options.insecure = flags_.insecure;
  options.timeout = flags_.timeout.empty() ? kDefaultTimeout : call_.timeout;
  options.user_agent = absl::StrCat("nfmeter-cli/", NFMETER_VERSION);
  if (!flags_.ca_file.empty() || !flags_.certificate_file.empty() ||
      !flags_.key_file.empty() || !flags_.server_name.empty()) {
    options.tls = TlsOptions{.ca_file = flags_.ca_file,
                             .certificate_file = flags_.certificate_file,
                             .key_file = flags_.key_file,
                             .server_name = flags_.server_name};
  }
  if (flags_.certificate_file.empty() != flags_.key_file.empty()) {
    return UsageError("--cert and --key belong together",
                      "give both or neither, also in the environment and in "
                      "the context");
  }
  if (options.tls.has_value() && options.insecure) {
    return UsageError(
        "--insecure is no TLS, which --ca, --cert, --key and --tls-server-name "
        "ask for",
        "leave out either, also NFMETER_CA, NFMETER_CERT and NFMETER_KEY in "
        "the environment");
  }
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<Client> client,
                       Client::Connect(options));
  client_ = std::move(client);
  return client_.get();
}

void Session::PrintTable(const google::protobuf::Message& message,
                         const std::function<Table(Layout)>& table,
                         const std::vector<std::string>& names) {
  Print(
      message, [&](Layout layout) { return Render(table(layout)); }, names);
}

void Session::PrintText(const google::protobuf::Message& message,
                        const Table& csv,
                        const std::function<std::string(Layout)>& text,
                        const std::vector<std::string>& names, bool first) {
  Print(
      message,
      [&](Layout layout) {
        return layout == kCsv ? Render(csv, first) : text(layout);
      },
      names);
}

void Session::Print(const google::protobuf::Message& message,
                    const std::function<std::string(Layout)>& text,
                    const std::vector<std::string>& names) {
  switch (format_) {
    case Format::kTable:
    case Format::kWide:
    case Format::kCsv:
      console_.out << text(layout());
      break;
    case Format::kJson: {
      const std::string json = MessageToJson(message, JsonLayout::kLines);
      if (tables_ == nullptr) {
        console_.out << json;
      } else {
        google::protobuf::StringValue context;
        context.set_value(context_);
        console_.out << "{\"context\": "
                     << MessageToJson(context, JsonLayout::kOneLine)
                     << ", \"answer\": " << json << "}\n";
      }
      break;
    }
    case Format::kYaml:
      if (tables_ != nullptr) {
        console_.out << "---\n# context: " << Printable(context_) << "\n";
      } else if (answered_) {
        console_.out << "---\n";
      }
      console_.out << MessageToYaml(message);
      break;
    case Format::kColumns:
      console_.out << RenderColumns(message, !answered_);
      break;
    case Format::kName:
      for (const std::string& name : names) console_.out << name << "\n";
      break;
  }
  answered_ = true;
  console_.out.flush();
}

void Session::PrintNext(const google::protobuf::Message& message,
                        const Table& csv, absl::string_view name, bool first) {
  switch (format_) {
    case Format::kTable:
    case Format::kWide:
      break;
    case Format::kCsv:
      console_.out << RenderCsv(csv, first && headings());
      break;
    case Format::kJson:
      console_.out << MessageToJson(message, JsonLayout::kOneLine) << "\n";
      break;
    case Format::kYaml:
      console_.out << "---\n" << MessageToYaml(message);
      break;
    case Format::kColumns:
      console_.out << RenderColumns(message, first);
      break;
    case Format::kName:
      if (!name.empty()) console_.out << name << "\n";
      break;
  }
}

std::string Session::Render(const Table& table, bool first) {
  if (tables_ == nullptr) return RenderNow(table, first);
  Table& part = tables_->emplace_back(table);
  part.headings.insert(part.headings.begin(),
                       {format_ == Format::kCsv ? "context" : "CONTEXT"});
  for (auto& row : part.rows) row.insert(row.begin(), Cell{context_});
  return "";
}

std::string Session::RenderNow(const Table& table, bool first) const {
  if (format_ == Format::kCsv) return RenderCsv(table, first && headings());
  return RenderTable(table, {.color = color_,
                             .max_width = width(),
                             .headings = first && headings(),
                             .tell = true});
}

size_t Session::width() const {
  return layout() == Layout::kTable && console_.out_is_terminal
             ? console_.size().columns
             : 0;
}

int Session::ExitCodeOfError(const absl::Status& status) const {
  const int code = ExitCodeOf(status);
  return code == kExitError && one_is_an_answer_ ? kExitUsage : code;
}

absl::Status Session::CheckOneServer(absl::string_view done) const {
  if (tables_ == nullptr) return absl::OkStatus();
  return UsageError(absl::StrCat("one server can be ", done,
                                 " at a time, so give one --context"));
}

absl::Status Session::CheckNotNames(absl::string_view things) const {
  if (format_ != Format::kName) return absl::OkStatus();
  return UsageError(absl::StrCat("-o name: ", things, " have no names"),
                    "-o csv, json, yaml and custom-columns print what there "
                    "is for programs, table for people");
}

absl::Status Session::CheckNotCsv(absl::string_view thing) const {
  if (format_ != Format::kCsv) return absl::OkStatus();
  return UsageError(absl::StrCat("-o csv: ", thing, " is no table"),
                    "-o yaml and json print all of it");
}

void Session::CollectTables(std::string context, std::vector<Table>* tables) {
  context_ = std::move(context);
  tables_ = tables;
}

std::string Session::RenderColumns(const google::protobuf::Message& answer,
                                   bool first) {
  const Table table = CustomTable(columns_, answer);
  if (tables_ != nullptr) return Render(table);
  return RenderTable(table, {.color = color_, .headings = first && headings()});
}

void Session::Note(absl::string_view sentence) {
  if (for_people()) console_.err << sentence << std::endl;
}

WatchOptions Session::stream_options() {
  return {.on_connection = [this](const absl::Status& lost) {
    console_.err << (lost.ok() ? "nfmeter: connected again"
                               : absl::StrCat("nfmeter: connection lost: ",
                                              Printable(lost.message()),
                                              "; trying again"))
                 << std::endl;
  }};
}

}  // namespace nfmeter::cli
