// SPDX-License-Identifier: Apache-2.0
// What a collector on the command line keeps between its runs.
#ifndef NFMETER_CLI_COLLECT_STATE_H_
#define NFMETER_CLI_COLLECT_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::cli {

// UNKNOWN: "can't write PATH: ..." with what errno says.
absl::Status FileError(absl::string_view what, const std::string& path);

// Writes all of it to an open file, durably.
absl::Status WriteDurably(int file, absl::string_view text,
                          const std::string& path);

// How far a consumer has got, and how long its output was then.
struct CollectState {
  std::string consumer;
  std::optional<v1::UsagePosition> position;  // none: nothing collected yet
  uint64_t output_bytes = 0;                  // of the file of --to
};

// A file with one state, replaced as a whole: whoever reads it finds the old or
// the new one, whenever the process or the machine stops. While this lives no
// other process uses the file. Not thread-safe.
class CollectStateFile {
 public:
  // FAILED_PRECONDITION: another process uses it; else what the system says.
  static absl::StatusOr<CollectStateFile> Open(const std::string& path);
  ~CollectStateFile();
  CollectStateFile(CollectStateFile&& other) noexcept;
  CollectStateFile& operator=(CollectStateFile&&) = delete;

  // Whether there is a state.
  bool exists() const;

  // The state of `consumer`; empty when there is no file. FAILED_PRECONDITION:
  // it is another consumer's, or no state.
  absl::StatusOr<CollectState> Load(const std::string& consumer) const;

  // Durable when this returns.
  absl::Status Save(const CollectState& state) const;

 private:
  CollectStateFile(std::string path, int lock)
      : path_(std::move(path)), lock_(lock) {}

  const std::string path_;
  int lock_;  // a file beside it
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COLLECT_STATE_H_
