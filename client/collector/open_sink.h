// SPDX-License-Identifier: Apache-2.0
// Which sink a URL means.
#ifndef NFMETER_COLLECTOR_OPEN_SINK_H_
#define NFMETER_COLLECTOR_OPEN_SINK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/sink.h"

namespace nfmeter::collector {

struct SinkOptions {
  // sqlite:PATH, postgresql://..., nats://...; empty: DefaultSink().
  std::string url;
  // Only Inspect() will be called.
  bool only_inspect = false;
  // With it: that storing is allowed, as far as it can be told.
  bool check_rights = false;
  int connections = 4;
};

// A SQLite file in $STATE_DIRECTORY, else in /var/lib/nfmeter-collector where
// that can be written, else in the user's ~/.local/state/nfmeter-collector.
std::string DefaultSink();

// The URL without passwords, for people.
std::string ShownSink(const std::string& url);

// Whether such a sink keeps events of the fleet, Sink::RelayEvents().
bool KeepsEvents(absl::string_view url);

// INVALID_ARGUMENT: there is no such sink; else what opening it says.
absl::StatusOr<std::unique_ptr<Sink>> OpenSink(const SinkOptions& options);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_OPEN_SINK_H_
