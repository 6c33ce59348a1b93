// SPDX-License-Identifier: GPL-3.0-or-later
// What interpose/ does for this server.
#ifndef NFMETER_APP_CONNECTION_GUARD_H_
#define NFMETER_APP_CONNECTION_GUARD_H_

#include "app/config.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::app {

// The one place that names interpose/: see its README.md for how to be rid of
// both. Guards all connections of the process, so there is nothing to keep;
// thread-safe once Begin() has returned.
class ConnectionGuard {
 public:
  // What gRPC lets clients do and this server does not; before the first
  // listener is opened, and once all descriptors are allowed that ever will be.
  static void Begin(const Config& config);
  // Connections to this listener, which is not gRPC's, are let alone.
  static void Exempt(int listener);
  // To be called once a second.
  static void Tick();

  static void WriteMetrics(telemetry::MetricsText& text);
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CONNECTION_GUARD_H_
