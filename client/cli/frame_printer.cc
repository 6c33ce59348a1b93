// SPDX-License-Identifier: Apache-2.0
#include "cli/frame_printer.h"

#include "cli/message_text.h"

namespace nfmeter::cli {
FramePrinter::FramePrinter(Session& session, const FrameOptions& options,
                           bool keys)
    : session_(session), options_(options) {
  if (session.console().out_is_terminal && session.for_people()) {
    screen_ = std::make_unique<FrameScreen>(
        session, FrameScreen::Options{.frame = options, .keys = keys});
  }
}

void FramePrinter::Print(const SnapshotFrame& frame) {
  std::ostream& out = session_.console().out;
  const bool first = frames_++ == 0;
  switch (session_.format()) {
    case Format::kTable:
    case Format::kWide:
      screen_ != nullptr ? screen_->Show(frame) : PrintBlock(frame);
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
      out << session_.RenderColumns(CountersOf(SelectRows(frame, options_)),
                                    first);
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
  session_.console().out
      << (frames_ == 1 ? "" : "\n") << "# "
      << FrameHeader(frame, rows.size(), absl::LocalTimeZone()) << "\n"
      << RenderTable(FrameTable(rows, session_.layout(), options_.bits),
                     {.color = session_.color(),
                      .max_width = session_.width(),
                      .headings = session_.headings()});
}

}  // namespace nfmeter::cli
