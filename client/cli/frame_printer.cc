// SPDX-License-Identifier: Apache-2.0
#include "cli/frame_printer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/message_text.h"

namespace nfmeter::cli {
namespace {

constexpr char kHideCursor[] = "\x1b[?25l";
constexpr char kShowCursor[] = "\x1b[?25h";
constexpr char kClearLine[] = "\x1b[K";
constexpr char kClearBelow[] = "\x1b[J";
constexpr char kClearAll[] = "\x1b[2J\x1b[H";
// The rows of a terminal that are not for counters: what the frame is, the
// headings, how many more there are, and the cursor's.
constexpr size_t kOtherLines = 4;

}  // namespace

FramePrinter::FramePrinter(Session& session, const FrameOptions& options)
    : session_(session), options_(options) {}

FramePrinter::~FramePrinter() {
  if (drawn_lines_ > 0) session_.console().out << kShowCursor << std::flush;
}

void FramePrinter::Print(const SnapshotFrame& frame) {
  std::ostream& out = session_.console().out;
  const bool first = frames_++ == 0;
  switch (session_.format()) {
    case Format::kTable:
    case Format::kWide:
      session_.console().out_is_terminal ? Redraw(frame) : PrintBlock(frame);
      break;
    case Format::kCsv:
      out << RenderCsv(FrameTable(SelectRows(frame, options_), Layout::kCsv),
                       first && session_.headings());
      break;
    case Format::kJson:
      out << MessageToJson(FrameMessage(frame, options_.changed_only, first),
                           JsonLayout::kOneLine)
          << "\n";
      break;
    case Format::kYaml:
      out << "---\n"
          << MessageToYaml(FrameMessage(frame, options_.changed_only, first));
      break;
    case Format::kColumns:
      out << session_.RenderColumns(
          FrameMessage(frame, options_.changed_only, first).frame(), first);
      break;
    case Format::kName:
      for (const RateRow& row : SelectRows(frame, options_)) {
        out << row.row->name << "\n";
      }
      break;
  }
  out.flush();
}

void FramePrinter::PrintBlock(const SnapshotFrame& frame) {
  const std::vector<RateRow> rows = SelectRows(frame, options_);
  session_.console().out << (frames_ == 1 ? "" : "\n") << "# "
                         << FrameHeader(frame, rows.size(),
                                        absl::LocalTimeZone())
                         << "\n"
                         << RenderTable(FrameTable(rows, session_.layout()),
                                        {.color = session_.color(),
                                         .headings = session_.headings()});
}

void FramePrinter::Redraw(const SnapshotFrame& frame) {
  const TerminalSize size = session_.console().size();
  FrameOptions options = options_;
  const size_t room = size.rows > kOtherLines ? size.rows - kOtherLines : 1;
  if (options.limit == 0 || options.limit > room) options.limit = room;
  const std::vector<RateRow> rows = SelectRows(frame, options);
  std::string text = absl::StrCat(
      Paint(CutToWidth(FrameHeader(frame, rows.size(), absl::LocalTimeZone()),
                       size.columns),
            Style::kFaint, session_.color()),
      "\n",
      RenderTable(FrameTable(rows, session_.layout()),
                  {.color = session_.color(),
                   .max_width = size.columns,
                   .headings = session_.headings()}));
  if (rows.size() == room && frame.rows.size() > room) {
    absl::StrAppend(
        &text,
        Paint(CutToWidth(absl::StrCat(frame.rows.size() - rows.size(),
                                      " more do not fit"),
                         size.columns),
              Style::kFaint, session_.color()),
        "\n");
  }
  // One write, so that the terminal never shows half a frame.
  std::string screen;
  if (drawn_lines_ == 0) {
    screen = kHideCursor;
  } else if (drawn_size_ == size) {
    screen = absl::StrCat("\x1b[", drawn_lines_, "A\r");
  } else {
    // Nobody knows where a resized terminal has put the old lines.
    screen = kClearAll;
  }
  drawn_size_ = size;
  drawn_lines_ = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&screen, line, kClearLine, "\n");
    ++drawn_lines_;
  }
  absl::StrAppend(&screen, kClearBelow);
  session_.console().out << screen;
}

}  // namespace nfmeter::cli
