// SPDX-License-Identifier: Apache-2.0
// Frames one after the other on standard output.
#ifndef NFMETER_CLI_FRAME_PRINTER_H_
#define NFMETER_CLI_FRAME_PRINTER_H_

#include <cstddef>
#include <string>

#include "cli/frame_view.h"
#include "cli/session.h"

namespace nfmeter::cli {

// Tables are redrawn in place on a terminal and follow each other as blocks
// elsewhere; the other formats are lines that a program can read as they come.
// Does not own the session.
class FramePrinter {
 public:
  FramePrinter(Session& session, const FrameOptions& options);
  ~FramePrinter();
  FramePrinter(const FramePrinter&) = delete;
  FramePrinter& operator=(const FramePrinter&) = delete;

  void Print(const SnapshotFrame& frame);

  // Something else was written to the terminal: the next frame goes below it.
  void StartBelow() { drawn_lines_ = 0; }

 private:
  void PrintBlock(const SnapshotFrame& frame);
  void Redraw(const SnapshotFrame& frame);

  Session& session_;
  const FrameOptions options_;
  size_t frames_ = 0;
  // Lines of the last frame on the terminal, above the cursor.
  size_t drawn_lines_ = 0;
  // Of the terminal when that was drawn.
  TerminalSize drawn_size_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FRAME_PRINTER_H_
