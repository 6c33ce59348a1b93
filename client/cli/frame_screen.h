// SPDX-License-Identifier: Apache-2.0
// The newest frame of a watch on a terminal, redrawn in place.
#ifndef NFMETER_CLI_FRAME_SCREEN_H_
#define NFMETER_CLI_FRAME_SCREEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cli/frame_view.h"
#include "cli/session.h"

namespace nfmeter::cli {

// Shows the counters, their sum, and where there is room the share of each in
// the largest value and how its rate was in the last frames. Keys change what
// is shown and how it is sorted. Thread-safe: frames and keys may come on
// threads of their own. Does not own the session.
class FrameScreen {
 public:
  struct Options {
    FrameOptions frame;
    // Keys are read: the last line says which there are.
    bool keys = false;
  };

  FrameScreen(Session& session, Options options);
  // The cursor is shown again.
  ~FrameScreen();
  FrameScreen(const FrameScreen&) = delete;
  FrameScreen& operator=(const FrameScreen&) = delete;

  void Show(const SnapshotFrame& frame);
  // False: the user wants to leave.
  bool OnKey(char key);
  // Something else was written to the terminal: the next frame goes below it.
  void StartBelow();

 private:
  // A frame that outlives its watch's next one.
  struct Kept {
    SnapshotFrame frame;
    std::vector<std::string> names;
    std::vector<CounterRow> rows;
    std::vector<uint32_t> changed;
    std::vector<std::string> removed;
  };

  void Keep(const SnapshotFrame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberRates() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EditFilter(char key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ChangeView(char key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Text(const TerminalSize& size) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the counters that match, beyond those that are shown.
  size_t CountIdle(size_t shown) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Foot(const TerminalSize& size, size_t shown) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddGraphs(const std::vector<RateRow>& rows, size_t columns,
                 Table& table) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Redraw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Session& session_;
  const bool keys_;
  absl::Mutex mutex_;
  FrameOptions options_ ABSL_GUARDED_BY(mutex_);
  bool typing_ ABSL_GUARDED_BY(mutex_) = false;  // the filter
  Kept kept_ ABSL_GUARDED_BY(mutex_);
  size_t frames_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of bytes, the newest last, by the counter's name.
  absl::flat_hash_map<std::string, std::vector<float>> rates_
      ABSL_GUARDED_BY(mutex_);
  // Lines of the last frame on the terminal, above the cursor.
  size_t drawn_lines_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of the terminal when that was drawn.
  TerminalSize drawn_size_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FRAME_SCREEN_H_
