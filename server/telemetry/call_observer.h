// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of a call when it has ended.
#ifndef NFMETER_TELEMETRY_CALL_OBSERVER_H_
#define NFMETER_TELEMETRY_CALL_OBSERVER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter::telemetry {

// `method` and `principal` live as long as OnCallEnded() only.
struct CallRecord {
  absl::string_view method;  // "nfmeter.v1.CounterService/ResetCounter"
  bool stream = false;
  bool mutates = false;
  bool audited = false;  // goes into the audit log in any case
  bool validate_only = false;
  bool with_rules = false;      // counters were to go with rules that count
  absl::string_view principal;  // empty: nobody that we know
  std::string peer;             // address; of mutations and failures only
  std::string trace_parent;     // W3C; likewise
  std::string request_id;
  // Of mutations: the first few names and ids that they are about, and how many
  // there are.
  std::vector<std::string> targets;
  size_t target_count = 0;
  absl::Status status;  // with the reason, see base/error.h
  absl::Duration duration;
};

// Is told of every call to the server's own services. Thread-safe.
class CallObserver {
 public:
  virtual ~CallObserver() = default;

  // It begins to be served: `method`, `stream` and `mutates` are known. Each
  // such call ends. Must not block.
  virtual void OnCallStarted(const CallRecord&) {}

  // On the thread that served the call; must not block.
  virtual void OnCallEnded(const CallRecord& record) = 0;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_CALL_OBSERVER_H_
