// SPDX-License-Identifier: Apache-2.0
// nfmeter usage collect
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/collect_state.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/filter_flags.h"
#include "cli/interrupt.h"
#include "cli/usage_lines.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

struct CollectFlags {
  v1::CounterFilter filter;
  std::string consumer;
  std::string state;
  std::string to;
  std::string form;
  bool once = false;
  bool start_anew = false;
};

// Where lines go: a file that can be cut back to what the state knows of, or
// standard output, which can't. Not thread-safe.
class Output {
 public:
  explicit Output(std::ostream& out) : out_(&out) {}
  ~Output() {
    if (file_ >= 0) close(file_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Goes on in a file after its first `bytes`, which must be there; what is
  // beyond them was written before a crash, and comes again. `is_new`: there
  // must be nothing.
  absl::Status OpenFile(const std::string& path, uint64_t bytes, bool is_new) {
    path_ = path;
    file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    struct stat status;
    if (file_ < 0 || fstat(file_, &status) != 0) {
      return FileError("open", path);
    }
    if (is_new && status.st_size > 0) {
      return WithHint(
          absl::FailedPreconditionError(absl::StrCat(
              path, " is there already, but no state that belongs to it")),
          "give the state of whoever wrote it, or another name");
    }
    if (static_cast<uint64_t>(status.st_size) < bytes) {
      return WithHint(
          absl::FailedPreconditionError(absl::StrCat(
              path, " has ", status.st_size, " bytes, but the state says ",
              bytes, ": what was collected is not there any more")),
          "restore the file, or begin anew with another --state and --to");
    }
    if (ftruncate(file_, static_cast<off_t>(bytes)) != 0 ||
        lseek(file_, 0, SEEK_END) < 0) {
      return FileError("write", path);
    }
    bytes_ = bytes;
    return absl::OkStatus();
  }

  // Durable, if it goes to a file, when this returns.
  absl::Status Write(const std::string& text) {
    if (file_ < 0) {
      *out_ << text;
      return CheckPrinted(*out_);
    }
    NFM_RETURN_IF_ERROR(WriteDurably(file_, text, path_));
    bytes_ += text.size();
    return absl::OkStatus();
  }

  uint64_t bytes() const { return bytes_; }

 private:
  std::ostream* const out_;
  std::string path_;
  int file_ = -1;
  uint64_t bytes_ = 0;
};

absl::StatusOr<LineForm> ReadForm(const Session& session,
                                  const std::string& form) {
  if (form == "csv") return LineForm::kCsv;
  if (form == "cloudevents") return LineForm::kCloudEvents;
  if (form == "jsonl") return LineForm::kJsonl;
  // -o before the command, or NFMETER_OUTPUT.
  switch (session.format()) {
    case Format::kCsv:
      return LineForm::kCsv;
    case Format::kTable:
    case Format::kJson:
      return LineForm::kJsonl;
    default:
      return UsageError("'usage collect' prints jsonl, csv or cloudevents");
  }
}

// A collector with what it keeps and where it prints. Not thread-safe.
class Collecting {
 public:
  Collecting(Session& session, const CollectFlags& flags, LineForm form)
      : session_(session),
        flags_(flags),
        lines_(form),
        output_(session.console().out) {}

  absl::Status Run();

 private:
  absl::Status Prepare();
  bool IsDone(const std::optional<v1::UsagePosition>& target) const;
  absl::Status Store(const CollectedRecord& collected);

  Session& session_;
  const CollectFlags& flags_;
  UsageLines lines_;
  Output output_;
  std::optional<CollectStateFile> file_;
  CollectState state_;
};

absl::Status Collecting::Prepare() {
  state_.consumer = flags_.consumer;
  if (!flags_.state.empty()) {
    NFM_ASSIGN_OR_RETURN(auto file, CollectStateFile::Open(flags_.state));
    file_.emplace(std::move(file));
    NFM_ASSIGN_OR_RETURN(auto state, file_->Load(flags_.consumer));
    state_ = std::move(state);
  }
  if (!flags_.to.empty()) {
    absl::Status status = output_.OpenFile(flags_.to, state_.output_bytes,
                                           /*is_new=*/!file_->exists());
    // From now on what is in the file is this state's.
    if (status.ok() && !file_->exists()) status = file_->Save(state_);
    if (!status.ok()) return status;
  }
  // Once: of a file that is gone on with, the heading is in it.
  if (state_.position.has_value() || !session_.headings()) {
    return absl::OkStatus();
  }
  return output_.Write(lines_.Heading());
}

bool Collecting::IsDone(const std::optional<v1::UsagePosition>& target) const {
  return target.has_value() && state_.position.has_value() &&
         state_.position->epoch() == target->epoch() &&
         state_.position->sequence() >= target->sequence();
}

// Lines first, then the state: a line whose state is not written comes again.
absl::Status Collecting::Store(const CollectedRecord& collected) {
  if (collected.anew) {
    session_.console().err << "nfmeter: the server's ledger began anew; this "
                              "goes on with all totals"
                           << std::endl;
  }
  NFM_RETURN_IF_ERROR(output_.Write(lines_.Format(collected.record)));
  state_.position = collected.record.position();
  state_.output_bytes = output_.bytes();
  return file_.has_value() ? file_->Save(state_) : absl::OkStatus();
}

absl::Status Collecting::Run() {
  NFM_RETURN_IF_ERROR(Prepare());
  NFM_ASSIGN_OR_RETURN(Client* const client, session_.client());
  std::optional<v1::UsagePosition> target;
  if (flags_.once) {
    NFM_ASSIGN_OR_RETURN(auto consumers,
                         client->ListConsumers(session_.call()));
    target = consumers.newest();
  }
  if (IsDone(target)) return absl::OkStatus();
  v1::CollectUsageStart start;
  start.set_consumer(flags_.consumer);
  *start.mutable_filter() = flags_.filter;
  if (state_.position.has_value()) {
    *start.mutable_resume_after() = *state_.position;
  }
  const auto collector =
      client->CollectUsage(start, {.start_anew = flags_.start_anew,
                                   .connection = session_.stream_options()});
  const Interrupt interrupt([&] { collector->Cancel(); });
  do {
    const auto collected = collector->Next();
    if (!collected.ok()) return interrupt.EndOf(collected.status());
    NFM_RETURN_IF_ERROR(Store(*collected));
    collector->Acknowledge(collected->record.position());
  } while (!IsDone(target));
  return absl::OkStatus();
}

absl::Status Explain(absl::Status status) {
  const std::string reason = ErrorReason(status);
  if (reason == reason::kPositionOfAnotherEpoch ||
      reason == reason::kPositionAhead) {
    return WithHint(std::move(status),
                    "run it again with --start-anew: it then goes on with one "
                    "record of all totals");
  }
  return status;
}

// Also where neither is there yet.
bool IsOneFile(const std::string& one, const std::string& other) {
  std::error_code error;
  return std::filesystem::weakly_canonical(one, error) ==
         std::filesystem::weakly_canonical(other, error);
}

absl::Status Collect(Session& session, const CollectFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("collected from"));
  if (!flags.to.empty() && flags.state.empty()) {
    return UsageError(
        "--to needs --state, which remembers how much of the file is whole");
  }
  if (!flags.to.empty() && IsOneFile(flags.to, flags.state)) {
    return UsageError("--to and --state are one file; give each its own");
  }
  NFM_ASSIGN_OR_RETURN(const auto form, ReadForm(session, flags.form));
  Collecting collecting(session, flags, form);
  return Explain(collecting.Run());
}

}  // namespace

void AddCollectCommand(CommandTree& tree, CLI::App& noun) {
  auto [command, flags] = tree.AddCommand(
      noun, "collect", "Print every record of usage, and go on where it was",
      R"(Prints a line for each total that changed, and for each gap, and acknowledges
the record when the line and --state are on the disk. Killed at any moment, it
goes on where it was: with --to each line is there exactly once. What goes to a
pipe may come twice after a kill; the line then has the same id, which is made
of node, epoch, sequence, time and counter. Totals are cumulative: what was
counted between two lines of a counter is their difference.

Examples:
  nfmeter usage collect --consumer billing --state state --to usage.jsonl
  nfmeter usage collect --consumer billing --state s --once -o csv --to u.csv
  nfmeter usage collect --consumer bus --state s -o cloudevents | publish)",
      Collect);
  AddFilterFlags(tree, *command, flags->filter);
  AddText(*command, "--consumer,-c", flags->consumer, "NAME",
          "who collects: letters, digits and ._-; for each name the "
          "server keeps what was not collected yet")
      ->required();
  AddFile(tree, *command, "--state,-s", flags->state,
          "a file that remembers the position; without it each run begins with "
          "all totals");
  AddFile(tree, *command, "--to", flags->to,
          "append to this file, each line exactly once; default: standard "
          "output");
  AddChoice(tree, *command, "--output,-o", flags->form,
            {"jsonl", "csv", "cloudevents"},
            "what a line is; default jsonl. csv has no gaps");
  command->add_flag("--once", flags->once, "end when it has what there is now");
  command->add_flag("--start-anew", flags->start_anew,
                    "where the server's ledger began anew or was restored, go "
                    "on with a record of all totals");
}

}  // namespace nfmeter::cli
