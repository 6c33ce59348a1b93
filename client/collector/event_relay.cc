// SPDX-License-Identifier: Apache-2.0
#include "collector/event_relay.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "collector/log.h"
#include "collector/open_sink.h"

namespace nfmeter::collector {
namespace {

constexpr absl::Duration kPause = absl::Seconds(1);

absl::StatusOr<std::unique_ptr<nats::Connection>> Open(const std::string& url,
                                                       bool make) {
  auto connection = nats::Connection::Open({.url = url,
                                            .stream = "NFMETER_EVENTS",
                                            .subjects = "nfmeter.events.>",
                                            .make = make});
  if (connection.ok()) return connection;
  // NATS does not say where.
  return absl::Status(connection.status().code(),
                      absl::StrCat("--events ", ShownSink(url), ": ",
                                   connection.status().message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventRelay>> EventRelay::Start(
    const std::string& url, Sink& sink) {
  NFM_ASSIGN_OR_RETURN(auto connection, Open(url, /*make=*/true));
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<EventRelay> relay(
      new EventRelay(std::move(connection), sink));
  relay->thread_ = std::thread([raw = relay.get()] { raw->Loop(); });
  return relay;
}

absl::Status EventRelay::Check(const std::string& url) {
  return Open(url, /*make=*/false).status();
}

EventRelay::EventRelay(std::unique_ptr<nats::Connection> connection, Sink& sink)
    : connection_(std::move(connection)), sink_(sink) {}

EventRelay::~EventRelay() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<int> EventRelay::Relay() {
  return sink_.RelayEvents([this](const Event& event) {
    nats::Message message;
    message.data = event.data;
    message.headers = {
        {"ce-specversion", "1.0"},           {"ce-type", event.type},
        {"ce-source", "nfmeter-collector"},  {"ce-id", event.id},
        {"ce-subject", event.subject},       {"ce-time", event.time},
        {"content-type", "application/json"}};
    return connection_->Append(absl::StrCat("nfmeter.events.", event.type),
                               message, event.id);
  });
}

void EventRelay::Loop() {
  absl::Status last;
  for (;;) {
    const absl::StatusOr<int> sent = Relay();
    if (sent.status() != last) {
      last = sent.status();
      Log(last.ok() ? Level::kInfo : Level::kWarning,
          last.ok() ? "events are sent again" : "events wait in the outbox",
          {{"error", last.message()}});
    }
    absl::MutexLock lock(&mutex_);
    const bool more = sent.ok() && *sent > 0;
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                            more ? absl::ZeroDuration() : kPause);
    if (stopping_) return;
  }
}

}  // namespace nfmeter::collector
