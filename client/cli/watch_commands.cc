// SPDX-License-Identifier: Apache-2.0
// nfmeter watch, nfmeter top
#include <atomic>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/filter_flags.h"
#include "cli/frame_printer.h"
#include "cli/interrupt.h"
#include "cli/key_reader.h"
#include "cli/quantity.h"
#include "cli/shell.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

struct WatchFlags {
  v1::CounterFilter filter;
  std::string interval = "1s";
  std::string sort;
  std::string give_up_after;
  size_t count = 0;
  size_t limit = 0;
  bool changed_only = false;
  bool bits = false;
  // top, on a terminal: without counters that have no traffic.
  bool hide_idle = false;
  std::string for_each;
  // top: the first frame has no rates, and piped it is left out.
  bool needs_rates = false;
  const CommandTree* tree = nullptr;  // whose command line was parsed
};

SortKey ParseSort(absl::string_view word) {
  for (const SortOrder& order : kSortOrders) {
    if (order.word == word) return order.key;
  }
  return SortKey::kName;
}

// Frames of json and yaml are the API's: what a full one lacks is gone.
absl::Status CheckSelection(const Session& session, const WatchFlags& flags) {
  const Format format = session.format();
  if (format != Format::kJson && format != Format::kYaml) {
    return absl::OkStatus();
  }
  for (const char* flag : {"--sort", "--limit"}) {
    if (!flags.tree->IsGiven(flag)) continue;
    return UsageError(
        absl::StrCat(flag,
                     " is not for -o json and yaml, whose frames have "
                     "all counters"),
        "-o csv and custom-columns have those that you choose");
  }
  return absl::OkStatus();
}

v1::WatchSnapshotsRequest Request(const Session& session,
                                  const WatchFlags& flags) {
  v1::WatchSnapshotsRequest request;
  *request.mutable_filter() = flags.filter;
  *request.mutable_interval() =
      ToProto(ParseDuration(flags.interval).value_or(absl::Seconds(1)));
  request.set_changed_only(flags.changed_only);
  const bool messages = session.format() == Format::kJson ||
                        session.format() == Format::kYaml ||
                        session.format() == Format::kColumns;
  request.set_view(messages ? v1::SNAPSHOT_VIEW_ROWS
                            : v1::SNAPSHOT_VIEW_COLUMNS);
  request.set_totals(true);
  return request;
}

// Runs a line of shell for each counter that has changed. Its failure is told
// and ends nothing.
void RunForEach(Session& session, const SnapshotFrame& frame,
                const std::string& line) {
  for (const RateRow& row : SelectRows(frame, {.changed_only = true})) {
    const absl::Status status =
        RunShell(line, {{"NFMETER_COUNTER", std::string(row.row->name)},
                        {"NFMETER_PACKETS", absl::StrCat(row.row->packets)},
                        {"NFMETER_BYTES", absl::StrCat(row.row->bytes)},
                        {"NFMETER_NEW_PACKETS", absl::StrCat(row.packets)},
                        {"NFMETER_NEW_BYTES", absl::StrCat(row.bytes)}});
    if (!status.ok()) {
      session.console().err << "nfmeter: --for-each: " << status.message()
                            << std::endl;
    }
  }
}

absl::Status Watch(Session& session, const WatchFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("watched"));
  NFM_RETURN_IF_ERROR(CheckSelection(session, flags));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  WatchOptions options = session.stream_options();
  if (auto limit = ParseDuration(flags.give_up_after); limit.ok()) {
    options.give_up_after = *limit;
  }
  const Console& console = session.console();
  const bool keys =
      console.in_is_terminal && console.out_is_terminal && session.for_people();
  FramePrinter printer(session,
                       {.sort = ParseSort(flags.sort),
                        .limit = flags.limit,
                        .changed_only = flags.changed_only,
                        .hide_idle = flags.hide_idle && console.out_is_terminal,
                        .bits = flags.bits},
                       keys);
  options.on_connection =
      [&, tell = options.on_connection](const absl::Status& lost) {
        tell(lost);
        printer.StartBelow();
      };
  const std::unique_ptr<SnapshotWatch> watch =
      client->WatchSnapshots(Request(session, flags), options);
  const Interrupt interrupt([&] { watch->Cancel(); });
  std::atomic<bool> left = false;
  std::optional<KeyReader> key_reader;
  if (keys) {
    key_reader.emplace([&](char key) {
      if (printer.screen()->OnKey(key)) return;
      left = true;
      watch->Cancel();
    });
  }
  bool skip = flags.needs_rates && !session.console().out_is_terminal;
  for (uint64_t printed = 0; flags.count == 0 || printed < flags.count;) {
    const absl::StatusOr<SnapshotFrame> frame = watch->Next();
    if (!frame.ok()) {
      return interrupt.raised() || left ? absl::OkStatus() : frame.status();
    }
    if (std::exchange(skip, false)) continue;
    printer.Print(*frame);
    if (!flags.for_each.empty() && printed > 0) {
      RunForEach(session, *frame, flags.for_each);
    }
    ++printed;
    // Nobody reads any more; Main says why where that is not normal.
    if (!session.console().out) break;
  }
  return absl::OkStatus();
}

void AddWatchFlags(CommandTree& tree, CLI::App& command, WatchFlags& flags) {
  flags.tree = &tree;
  AddFilterFlags(tree, command, flags.filter);
  AddDuration(command, "--interval,-i", flags.interval,
              "time between two frames: 1s, 250ms; default 1s; readings are "
              "shared, so the first may take nearly twice that");
  AddNumber(command, "--count,-n", flags.count,
            "end after so many frames; default 0: never");
  AddNumber(command, "--limit", flags.limit, "show at most so many counters");
  command.add_flag("--bits", flags.bits,
                   "rates in bit/s, by powers of 1000; in tables");
  AddText(command, "--for-each", flags.for_each, "LINE",
          "run this line of shell for each counter that has changed "
          "since the frame before, with NFMETER_COUNTER, "
          "NFMETER_PACKETS, NFMETER_BYTES, NFMETER_NEW_PACKETS and "
          "NFMETER_NEW_BYTES set");
  AddDuration(command, "--give-up-after", flags.give_up_after,
              "end when a broken connection can't be made again for so long; "
              "default: try for ever");
}

void AddSort(CommandTree& tree, CLI::App& command, WatchFlags& flags,
             const std::string& standard) {
  std::vector<std::string> words;
  for (const SortOrder& order : kSortOrders) words.emplace_back(order.word);
  AddChoice(tree, command, "--sort", flags.sort, words,
            absl::StrCat("largest first; default: ", standard));
}

void AddWatch(CommandTree& tree) {
  auto [command, flags] = tree.AddCommand(
      tree.root(), "watch", "Show counters as they change",
      R"(On a terminal the table is redrawn in place until q or Ctrl-C, with the sum of
all and, where there is room, what the rates were in the last frames. Keys: /
filters by a part of the name (Esc: no filter), i hides and shows counters
without traffic, u shows bits or bytes; n, p, b, P and B sort by name, packets,
bytes, packets/s and bytes/s.

Elsewhere frames follow each other: tables as blocks that begin with '#', csv
with the headings once, json as one object a line, yaml as documents. json and
yaml have all counters: --sort and --limit are for the other forms.

Rates are by the kernel's clock; after a reset, what was counted since then.
A broken connection is made again, and the stream goes on; standard error tells
when it is lost and when it is back.

Examples:
  nfmeter watch 'http*' --interval 1s
  nfmeter watch --count 1
  nfmeter watch -o csv --interval 10s >> traffic.csv
  nfmeter watch 'a*' --for-each 'logger "$NFMETER_COUNTER $NFMETER_NEW_BYTES"'
  nfmeter watch -o json --changed-only | jq -c '.frame.counters[]')",
      Watch);
  AddWatchFlags(tree, *command, *flags);
  AddSort(tree, *command, *flags, "name");
  command->add_flag("--changed-only", flags->changed_only,
                    "only counters that changed, and no frame when none did "
                    "(but one every 10 s)");
}

void AddTop(CommandTree& tree) {
  auto [command, flags] = tree.AddCommand(
      tree.root(), "top", "Show the counters with the most traffic",
      R"(As 'nfmeter watch', sorted by rate. The 20 largest are shown; --limit 0 shows
all. On a terminal, counters without traffic are not shown (the key i shows
them); the keys are those of 'nfmeter watch'. Piped, the first frame
is left out, since it has no rates yet.

Examples:
  nfmeter top
  nfmeter top --sort packets/s --limit 5
  nfmeter top 'host-*' --count 1 --interval 10s)",
      Watch);
  flags->sort = "bytes/s";
  flags->limit = 20;
  flags->needs_rates = true;
  flags->hide_idle = true;
  AddWatchFlags(tree, *command, *flags);
  AddSort(tree, *command, *flags, "bytes/s");
}

}  // namespace

void AddWatchCommands(CommandTree& tree) {
  AddWatch(tree);
  AddTop(tree);
}

}  // namespace nfmeter::cli
