// SPDX-License-Identifier: Apache-2.0
// Frames one after the other on standard output.
#ifndef NFMETER_CLI_FRAME_PRINTER_H_
#define NFMETER_CLI_FRAME_PRINTER_H_

#include <cstddef>
#include <memory>

#include "cli/frame_screen.h"
#include "cli/frame_view.h"
#include "cli/session.h"

namespace nfmeter::cli {

// Tables are redrawn in place on a terminal (FrameScreen) and follow each other
// as blocks elsewhere; the other formats are lines that a program can read as
// they come. Does not own the session.
class FramePrinter {
 public:
  // `keys`: keys are read, and given to the screen.
  FramePrinter(Session& session, const FrameOptions& options,
               bool keys = false);
  FramePrinter(const FramePrinter&) = delete;
  FramePrinter& operator=(const FramePrinter&) = delete;

  void Print(const SnapshotFrame& frame);

  // Something else was written to the terminal: the next frame goes below it.
  void StartBelow() {
    if (screen_ != nullptr) screen_->StartBelow();
  }

  // Null where tables follow each other.
  FrameScreen* screen() { return screen_.get(); }

 private:
  void PrintBlock(const SnapshotFrame& frame);

  Session& session_;
  const FrameOptions options_;
  size_t frames_ = 0;
  std::unique_ptr<FrameScreen> screen_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FRAME_PRINTER_H_
