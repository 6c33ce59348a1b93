// SPDX-License-Identifier: Apache-2.0
// What a command runs in: streams, global flags, the connection.
#ifndef NFMETER_CLI_SESSION_H_
#define NFMETER_CLI_SESSION_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/columns.h"
#include "cli/console.h"
#include "cli/custom_columns.h"
#include "google/protobuf/message.h"
#include "nfmeter/client.h"

namespace nfmeter::cli {

enum class Format { kTable, kWide, kJson, kYaml, kCsv, kName, kColumns };

// The flags that every command takes.
struct GlobalFlags {
  std::string server;
  std::string context;  // names with ',' between
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  std::string server_name;
  bool insecure = false;
  std::string timeout;  // empty: 30 s, and more for batches
  std::string format;   // empty: table
  std::string color = "auto";
  bool no_color = false;
  bool no_headers = false;
};

// Not thread-safe. Does not own the console.
class Session {
 public:
  // `flags` have been checked by the command line.
  Session(Console& console, const GlobalFlags& flags);

  Console& console() { return console_; }
  const GlobalFlags& flags() const { return flags_; }
  Format format() const { return format_; }
  // The layout of text; json, yaml and name have none and get kTable.
  Layout layout() const;
  // A format made for people, table or wide: sentences may be added.
  bool for_people() const;
  // Colours on standard output, on standard error.
  bool color() const { return color_; }
  bool error_color() const { return error_color_; }
  // Headings above tables and CSV.
  bool headings() const { return !flags_.no_headers; }
  const CallOptions& call() const { return call_; }

  // What the command exits with when it did what it was asked to; 0 unless it
  // says something else by that, as diff does.
  int exit_code() const { return exit_code_; }
  void set_exit_code(int code) { exit_code_ = code; }
  // What it exits with when it failed so. As diff(1) has it, errors of a
  // command whose 1 is an answer begin with 2.
  int ExitCodeOfError(const absl::Status& status) const;
  void set_one_is_an_answer() { one_is_an_answer_ = true; }

  // The connection, made when it is first asked for.
  absl::StatusOr<Client*> client();

  // Prints an answer in the chosen format: `message` as json or yaml, the
  // objects in it as custom columns, their names one a line, or for table, wide
  // and csv what the function makes. Several are objects of json one after the
  // other, documents of yaml, and columns under one heading.
  void PrintTable(const google::protobuf::Message& message,
                  const std::function<Table(Layout)>& table,
                  const std::vector<std::string>& names = {});
  // The same of what people read as a text, and programs as the table `csv`,
  // which has headings if `first`.
  void PrintText(const google::protobuf::Message& message, const Table& csv,
                 const std::function<std::string(Layout)>& text,
                 const std::vector<std::string>& names = {}, bool first = true);
  // One of several answers that come one after the other, in a format for
  // programs: not table and wide, which are for people.
  void PrintNext(const google::protobuf::Message& message, const Table& csv,
                 absl::string_view name, bool first);
  // Renders for the layout; colours as the session has them. Without headings
  // unless `first`.
  std::string Render(const Table& table, bool first = true);
  std::string RenderNow(const Table& table, bool first = true) const;
  // Columns of a line: on a terminal the layout for people fits in it. 0: any.
  size_t width() const;

  // From now on tables are not rendered but added to `tables`, which must
  // outlive this, with a first column that says `context`, and so do json and
  // yaml: the command runs on several servers.
  void CollectTables(std::string context, std::vector<Table>* tables);
  // INVALID_ARGUMENT where the command runs on several: only one server can be
  // `done`, "watched", at a time.
  absl::Status CheckOneServer(absl::string_view done) const;
  // INVALID_ARGUMENT for -o name: `things`, "sums of flows", have no names.
  absl::Status CheckNotNames(absl::string_view things) const;
  // INVALID_ARGUMENT for -o csv: `thing`, "a plan", is no table.
  absl::Status CheckNotCsv(absl::string_view thing) const;
  // Of -o custom-columns, the columns of the objects in `answer`; without
  // headings unless `first`.
  std::string RenderColumns(const google::protobuf::Message& answer,
                            bool first = true);
  // A sentence for people, on standard error: nothing for scripts to parse.
  void Note(absl::string_view sentence);
  // Those of a stream that tells when its connection is lost and when it is
  // back: in all formats, since a stream that is silent looks as one in which
  // nothing happens. They must not outlive this.
  WatchOptions stream_options();

 private:
  void Print(const google::protobuf::Message& message,
             const std::function<std::string(Layout)>& text,
             const std::vector<std::string>& names);

  Console& console_;
  const GlobalFlags& flags_;
  Format format_ = Format::kTable;
  bool color_ = false;
  bool error_color_ = false;
  CallOptions call_;
  int exit_code_ = 0;
  bool one_is_an_answer_ = false;
  bool answered_ = false;              // something was printed
  std::vector<CustomColumn> columns_;  // kColumns
  std::string context_;                // of CollectTables()
  std::vector<Table>* tables_ = nullptr;
  std::unique_ptr<Client> client_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_SESSION_H_
