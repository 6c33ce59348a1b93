// SPDX-License-Identifier: Apache-2.0
// How a client reaches its server and how long its calls may take.
#ifndef NFMETER_OPTIONS_H_
#define NFMETER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace nfmeter {

// Where nfmeterd listens when nothing else is said.
inline constexpr char kDefaultAddress[] = "unix:/run/nfmeter/nfmeter.sock";

// Environment variable with the address for clients that are given none.
inline constexpr char kAddressVariable[] = "NFMETER_SERVER";

// Transport security. All files are PEM. They are read by Client::Connect and
// again before each connection that is made later, so that certificates may be
// replaced; while they can't be read, what was read before stays in force.
struct TlsOptions {
  // Authorities that the server's certificate must come from. Empty: those of
  // the system.
  std::string ca_file;
  // This client's certificate chain and its key: both or none. nfmeterd asks
  // remote clients for one.
  std::string certificate_file;
  std::string key_file;
  // The name that the server's certificate must have. Empty: the host in the
  // address.
  std::string server_name;
};

// What happens after an attempt failed with UNAVAILABLE. Reads are tried again,
// and so are changes: each carries a request_id, under which the server carries
// it out once. After a restart of the server changes are not tried again (see
// Client). Errors of other codes are never retried.
struct RetryOptions {
  // Attempts of one call, the first included. 1: no retries.
  int max_attempts = 4;
  // Wait before the second attempt; each next one is `multiplier` times
  // longer, up to max_backoff, all shortened by chance by up to `jitter` of
  // themselves. A google.rpc.RetryInfo of the server is the least wait.
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
  double multiplier = 2.0;
  double jitter = 0.3;
};

struct ClientOptions {
  // unix:/path (or just /path), host:port, [v6]:port, dns:///host:port, or
  // another target that gRPC knows. Empty: $NFMETER_SERVER, or if that is not
  // set, kDefaultAddress.
  std::string address;
  // Absent: no TLS, which is allowed over unix sockets and loopback only.
  std::optional<TlsOptions> tls;
  // Allow no TLS to any address. Everybody on the way can then read and
  // change everything.
  bool insecure = false;
  // See CallOptions.timeout.
  absl::Duration timeout = absl::Seconds(10);
  RetryOptions retry;
  // Put before the SDK's own in the user agent: "my-controller/1.2".
  std::string user_agent;
  // Largest message accepted from the server, in bytes.
  int max_receive_bytes = 64 << 20;
  // For a process with very many clients: the connection takes less memory, and
  // large messages over it more steps.
  bool one_of_many = false;
};

// Where tens of thousands of counters exist the kernel takes up to a
// millisecond for each that is made, reset or deleted; a loaded machine longer.
inline constexpr absl::Duration kBatchItemTime = absl::Milliseconds(5);

// How long one call may take.
struct CallOptions {
  // For one RPC with its retries. Calls that make several (pages, split
  // batches) give each of them this long. 0: ClientOptions.timeout, and
  // kBatchItemTime more for each item of a batch. Negative: no time is left.
  absl::Duration timeout = absl::ZeroDuration();
  // For the whole call, however many RPCs it makes. What is left of it is read
  // from the wall clock when each RPC begins; everything else of the SDK goes
  // by a clock that nobody sets.
  absl::Time deadline = absl::InfiniteFuture();
};

// Told after each part of a split batch, on the calling thread: items carried
// out so far, items in all.
using BatchProgress = std::function<void(size_t done, size_t total)>;

// How a watch deals with broken connections.
struct WatchOptions {
  // Next() gives up when it has been reconnecting this long without success.
  // The first connection is tried as often as any call (RetryOptions).
  absl::Duration give_up_after = absl::InfiniteDuration();
  // A connection that was silent this long is taken for dead and replaced.
  // SnapshotWatch only, since quota events may be rare. 0: three times what
  // the request makes the longest silence, and 10 s.
  absl::Duration stall_timeout = absl::ZeroDuration();
  // Told, within Next(): why a connection that was good is lost, before it is
  // made again; and with OK, once for each such loss, that it is back.
  std::function<void(const absl::Status& lost)> on_connection;
};

}  // namespace nfmeter

#endif  // NFMETER_OPTIONS_H_
