// SPDX-License-Identifier: GPL-3.0-or-later
// All connections to the server's listeners: how many, and what each may ask.
#ifndef NFMETER_INTERPOSE_CONNECTIONS_H_
#define NFMETER_INTERPOSE_CONNECTIONS_H_

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "interpose/client_loads.h"
#include "interpose/frame_guard.h"
#include "interpose/turnstile.h"

namespace nfmeter::interpose {

// Peers who must wait before they may connect again, by name. Each wait is
// twice as long as the last one; a peer who behaves for as long starts afresh.
// Bounded. Thread-safe. Does not own the clock.
class Penalties {
 public:
  explicit Penalties(Clock& clock) : clock_(clock) {}

  void Add(const std::string& peer);
  bool Has(const std::string& peer);
  // Nobody has one: no peer need be looked up.
  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }

  static constexpr absl::Duration kFirst = absl::Seconds(1);
  static constexpr absl::Duration kLongest = absl::Minutes(1);
  static constexpr size_t kMaxPeers = 10'000;

 private:
  struct Penalty {
    absl::Duration length;
    absl::Duration end;

    // Nothing of it is remembered from then on.
    absl::Duration forgotten() const { return end + length; }
  };

  Clock& clock_;
  std::atomic<size_t> size_ = 0;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Penalty> peers_ ABSL_GUARDED_BY(mutex_);
};

// Is told by socket_taps.cc what the server's sockets do, and says which
// connections have to go. A peer whose connection had to go is not let in again
// for a while: what it opens meanwhile is left waiting, or closed. A network
// whose connections over TCP have to go again and again waits for each of them
// (Turnstile).
//
// Descriptors are those of this process, so there is one, All(). Thread-safe.
class Connections {
 public:
  using Verdict = FrameGuard::Verdict;

  struct Options {
    FrameGuard::Limits frames;
    ClientLoads::Limits loads;  // of all connections
    size_t max_connections = 16'384;
  };
  // A connection that had to go.
  struct Offence {
    Verdict verdict = Verdict::kFine;
    std::string peer;  // "pid 12, uid 0", "192.0.2.1:40000", a principal
  };
  struct Stats {
    size_t open = 0;
    size_t open_streams = 0;
    size_t request_bytes = 0;
    std::array<uint64_t, FrameGuard::kVerdicts> dropped{};  // by verdict
    uint64_t refused = 0;                                   // for a penalty
    uint64_t beyond_limit = 0;
    uint64_t turned_away = 0;  // too many wait for their turn
    uint64_t delayed = 0;      // until it was their turn
  };

  static Connections& All();

  // Before the first listener is opened; without it nothing is guarded.
  // `on_offence`, and `on_delay` with a network whose connections wait from now
  // on, are called on gRPC's threads, ten times in ten seconds at most.
  void Guard(const Options& options, Clock& clock,
             std::function<void(const Offence&)> on_offence,
             std::function<void(const std::string& network)> on_delay);
  bool guards() const { return guards_.load(std::memory_order_acquire); }
  Stats stats() const;
  size_t max_connections() const { return options_.max_connections; }

  // A listener that is somebody else's: that of Prometheus, who is to see what
  // happens when there are too many connections, or the page's.
  void Exempt(int listener);
  // A connection has been accepted. False: it is none of the caller's business
  // any more.
  bool Accepted(int listener, int fd);
  // There are no descriptors for another one. Makes room to take it and close
  // it: nobody who waits to be accepted must wait for ever. False: there is no
  // room at all.
  bool ShedOne(int listener);
  // What the connection's client has sent is not to be read yet. Once it is,
  // the descriptor becomes readable again.
  bool MustWait(int fd) const {
    const Connection* const connection = Find(fd);
    return connection != nullptr &&
           connection->waits.load(std::memory_order_relaxed);
  }
  // `size` bytes in `buffers`. False: it has to go; it is shut down.
  bool Received(int fd, absl::Span<const iovec> buffers, size_t size) {
    Connection* const connection = Find(fd);
    return connection == nullptr ||
           Look(*connection, fd, buffers, size, /*from_client=*/true);
  }
  void Sent(int fd, absl::Span<const iovec> buffers, size_t size) {
    Connection* const connection = Find(fd);
    if (connection != nullptr) {
      Look(*connection, fd, buffers, size, /*from_client=*/false);
    }
  }
  // The client has ended the connection, or it is broken.
  void Ended(int fd) {
    Connection* const connection = Find(fd);
    if (connection == nullptr) return;
    absl::MutexLock lock(&connection->mutex);
    connection->network.clear();
  }
  // The descriptor is about to be closed.
  void Closing(int fd) {
    Connection* const connection = Find(fd);
    if (connection != nullptr) Forget(*connection, fd);
  }

  // Closes connections that were left waiting and lets those in whose turn it
  // is. To be called once a second.
  void Tick();

  // Guards for connections of another kind, TLS, with this client.
  std::unique_ptr<FrameGuard> NewGuard(const std::string& client);
  bool MayConnect(const std::string& peer) { return !penalties_->Has(peer); }
  // `key`: whom it is a penalty for; empty: they can't be told from others.
  void NoteOffence(Verdict verdict, const std::string& key,
                   const std::string& name);

 private:
  static constexpr int kMaxDescriptors = 1 << 20;
  // Descriptors that are kept for all but connections.
  static constexpr size_t kSpareDescriptors = 256;
  // Connections of peers that have to wait.
  static constexpr size_t kMaxHeld = 64;
  // Connections that the server ends before they are that old are bad ones.
  static constexpr absl::Duration kYouth = absl::Seconds(2);

  // One for each descriptor that ever was a connection; used again, and never
  // freed, so that whoever still looks at it finds one.
  struct Connection {
    std::atomic<bool> waits = false;  // for its turn
    absl::Mutex mutex;
    std::optional<FrameGuard> guard ABSL_GUARDED_BY(mutex);
    // Where it comes from; empty: not over TCP, or its client has ended it.
    std::string network ABSL_GUARDED_BY(mutex);
    absl::Duration begin ABSL_GUARDED_BY(mutex);  // when it was let in
  };
  struct Held {
    int fd;
    absl::Duration until;
  };

  Connections() = default;

  static Connection* Find(int fd) {
    if (fd < 0 || fd >= kMaxDescriptors) return nullptr;
    return slots_[fd].load(std::memory_order_acquire);
  }
  bool IsExempt(int listener) const;
  bool Look(Connection& connection, int fd, absl::Span<const iovec> buffers,
            size_t size, bool from_client);
  void Forget(Connection& connection, int fd);
  void HoldOrClose(int fd);
  // False: too many wait.
  bool Enter(Connection& connection, int fd);
  void LetIn(int fd);
  std::vector<int> TakeOverdue(absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayReport();

  std::atomic<bool> guards_ = false;
  Options options_;
  Clock* clock_ = nullptr;
  std::function<void(const Offence&)> on_offence_;
  std::function<void(const std::string&)> on_delay_;
  std::unique_ptr<Penalties> penalties_;
  std::unique_ptr<Turnstile> turnstile_;
  // Costs memory only where there have been connections.
  static inline std::array<std::atomic<Connection*>, kMaxDescriptors> slots_;
  std::unique_ptr<ClientLoads> loads_;
  std::atomic<size_t> open_ = 0;
  std::array<std::atomic<uint64_t>, FrameGuard::kVerdicts> dropped_{};
  std::atomic<uint64_t> refused_ = 0;
  std::atomic<uint64_t> beyond_limit_ = 0;
  std::atomic<uint64_t> turned_away_ = 0;
  std::atomic<uint64_t> delayed_ = 0;

  mutable absl::Mutex mutex_;
  std::vector<int> exempt_ ABSL_GUARDED_BY(mutex_);  // listeners
  std::vector<Held> held_ ABSL_GUARDED_BY(mutex_);
  int spare_ ABSL_GUARDED_BY(mutex_) = -1;
  absl::Duration window_end_ ABSL_GUARDED_BY(mutex_);
  int reports_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_CONNECTIONS_H_
