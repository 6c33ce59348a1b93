// SPDX-License-Identifier: Apache-2.0
// Sends what the database's outbox holds to other programs.
#ifndef NFMETER_COLLECTOR_EVENT_RELAY_H_
#define NFMETER_COLLECTOR_EVENT_RELAY_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "collector/nats.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// Events were put into the outbox in the transaction that they tell of. Here
// they leave it, as CloudEvents in binary mode, when JetStream has them: none
// is lost, one may come twice with one id. A thread of its own looks each
// second.
class EventRelay {
 public:
  // `sink` must outlive it and keep events. Statuses: nats::Connection.
  static absl::StatusOr<std::unique_ptr<EventRelay>> Start(
      const std::string& url, Sink& sink);
  // Whether it could start; makes nothing.
  static absl::Status Check(const std::string& url);
  ~EventRelay();
  EventRelay(const EventRelay&) = delete;
  EventRelay& operator=(const EventRelay&) = delete;

 private:
  EventRelay(std::unique_ptr<nats::Connection> connection, Sink& sink);

  absl::StatusOr<int> Relay();
  void Loop();

  const std::unique_ptr<nats::Connection> connection_;
  Sink& sink_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_EVENT_RELAY_H_
