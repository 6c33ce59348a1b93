// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/connection_guard.h"

#include <string>

#include "base/clock.h"
#include "interpose/connections.h"
#include "service/gate/gate.h"
#include "telemetry/log.h"

namespace nfmeter::app {

void ConnectionGuard::Begin(const Config& config) {
  using interpose::Connections;
  Connections::All().Guard(
      {.frames = {.max_open_streams = 2 * config.max_streams_per_connection,
                  .max_resets_per_second = config.max_resets_per_second},
       .loads = {.max_calls = config.limits.max_streams +
                              service::Gate::Options().max_waiting +
                              2 * config.max_streams_per_connection,
                 .max_request_bytes = config.max_pending_bytes},
       .max_connections = config.max_connections},
      SystemClock(),
      [](const Connections::Offence& offence) {
        telemetry::Log(telemetry::LogLevel::kWarning, "connection dropped",
                       {{"peer", offence.peer},
                        {"reason", interpose::VerdictName(offence.verdict)}});
      },
      [](const std::string& network) {
        telemetry::Log(
            telemetry::LogLevel::kWarning, "new connections wait",
            {{"from", network},
             {"detail",
              "too many of its connections failed in the handshake or had to "
              "be dropped as soon as they came"}});
      });
}

void ConnectionGuard::Exempt(int listener) {
  interpose::Connections::All().Exempt(listener);
}

void ConnectionGuard::Tick() { interpose::Connections::All().Tick(); }

void ConnectionGuard::WriteMetrics(telemetry::MetricsText& text) {
  using Type = telemetry::MetricsText::Type;
  using Verdict = interpose::FrameGuard::Verdict;
  const interpose::Connections& connections = interpose::Connections::All();
  if (!connections.guards()) return;
  const interpose::Connections::Stats stats = connections.stats();
  text.Gauge("nfmeter_connections_open",
             "Connections to the server's listeners.", stats.open);
  text.Gauge("nfmeter_connections_limit", "The most there may be.",
             connections.max_connections());
  text.Gauge("nfmeter_http2_streams_open",
             "Calls and streams on them, as their clients see them.",
             stats.open_streams);
  text.Gauge("nfmeter_request_bytes_pending",
             "Bytes of requests that are not answered yet.",
             stats.request_bytes);
  text.Family("nfmeter_connections_dropped_total", Type::kCounter,
              "Connections that were closed for what their clients did: took "
              "back calls again and again, opened or sent more than they may, "
              "sent frames that ask for nothing.");
  for (const Verdict each : {Verdict::kResets, Verdict::kOpenStreams,
                             Verdict::kIdleFrames, Verdict::kRequestBytes}) {
    text.Add({{"reason", interpose::VerdictName(each)}},
             stats.dropped[static_cast<size_t>(each)]);
  }
  text.Family("nfmeter_connections_refused_total", Type::kCounter,
              "Connections that were not let in: their clients had one dropped "
              "just before (penalty), there were too many (limit), or too many "
              "waited for their turn (turn).");
  text.Add({{"reason", "penalty"}}, stats.refused);
  text.Add({{"reason", "limit"}}, stats.beyond_limit);
  text.Add({{"reason", "turn"}}, stats.turned_away);
  text.Counter(
      "nfmeter_connections_delayed_total",
      "Connections that waited for their turn, as the server had to end "
      "others from the same network as soon as they came.",
      stats.delayed);
}

}  // namespace nfmeter::app
