// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/connections.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "interpose/tcp_peer.h"

namespace nfmeter::interpose {
namespace {

// How many offences are logged, as clients can cause them at will.
constexpr absl::Duration kReportWindow = absl::Seconds(10);
constexpr int kReportsInWindow = 10;

struct Peer {
  std::string key;   // whom a penalty is for; empty: for nobody
  std::string name;  // for people
};

// The family is AF_UNSPEC when the other end has gone.
sockaddr_storage AddressOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

// The process at the other end of a unix socket. One in another PID namespace
// has the number 0, like all others there.
Peer UnixPeer(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
  const std::string name = absl::StrCat("pid ", peer.pid, ", uid ", peer.uid);
  return {peer.pid != 0 ? name : "", name};
}

Peer PeerOf(int fd) {
  const sockaddr_storage address = AddressOf(fd);
  if (address.ss_family == AF_UNIX) return UnixPeer(fd);
  if (!TcpPeer::Is(address)) return {"", "unknown"};
  const TcpPeer peer(address);
  // Callers on this host can't be told from each other.
  return {peer.is_loopback() ? "" : peer.Host(), peer.HostAndPort()};
}

// Empty for a unix socket.
std::string NetworkOf(int fd) {
  const sockaddr_storage address = AddressOf(fd);
  return TcpPeer::Is(address) ? TcpPeer(address).Network() : "";
}

size_t DescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<size_t>(limit.rlim_cur);
}

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

void Penalties::Add(const std::string& peer) {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  if (peers_.size() >= kMaxPeers) {
    absl::erase_if(peers_, [&](const auto& each) {
      return each.second.forgotten() <= now;
    });
    if (peers_.size() >= kMaxPeers) peers_.erase(peers_.begin());
  }
  const auto [found, is_new] = peers_.try_emplace(peer, Penalty{kFirst, {}});
  Penalty& penalty = found->second;
  if (!is_new) {
    // Connections from before may still offend: that is the same offence.
    if (now < penalty.end) return;
    penalty.length = now >= penalty.forgotten()
                         ? kFirst
                         : std::min(penalty.length * 2, kLongest);
  }
  penalty.end = now + penalty.length;
  size_.store(peers_.size(), std::memory_order_relaxed);
}

bool Penalties::Has(const std::string& peer) {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return false;
  if (now < found->second.end) return true;
  if (now >= found->second.forgotten()) {
    peers_.erase(found);
    size_.store(peers_.size(), std::memory_order_relaxed);
  }
  return false;
}

Connections& Connections::All() {
  static auto* const all = new Connections;
  return *all;
}

void Connections::Guard(const Options& options, Clock& clock,
                        std::function<void(const Offence&)> on_offence,
                        std::function<void(const std::string&)> on_delay) {
  options_ = options;
  const size_t descriptors = DescriptorLimit();
  options_.max_connections =
      std::min(options.max_connections,
               descriptors - std::min(kSpareDescriptors, descriptors / 2));
  loads_ = std::make_unique<ClientLoads>(options.loads);
  clock_ = &clock;
  on_offence_ = std::move(on_offence);
  on_delay_ = std::move(on_delay);
  penalties_ = std::make_unique<Penalties>(clock);
  turnstile_ = std::make_unique<Turnstile>(clock);
  {
    absl::MutexLock lock(&mutex_);
    if (spare_ < 0) spare_ = OpenSpare();
  }
  guards_.store(true, std::memory_order_release);
}

Connections::Stats Connections::stats() const {
  Stats stats;
  stats.open = open_;
  if (guards()) {
    stats.open_streams = loads_->calls();
    stats.request_bytes = loads_->request_bytes();
  }
  std::copy(dropped_.begin(), dropped_.end(), stats.dropped.begin());
  stats.refused = refused_;
  stats.beyond_limit = beyond_limit_;
  stats.turned_away = turned_away_;
  stats.delayed = delayed_;
  return stats;
}

std::unique_ptr<FrameGuard> Connections::NewGuard(const std::string& client) {
  return std::make_unique<FrameGuard>(options_.frames, loads_->Of(client),
                                      *clock_);
}

void Connections::Exempt(int listener) {
  absl::MutexLock lock(&mutex_);
  exempt_.push_back(listener);
}

bool Connections::IsExempt(int listener) const {
  absl::MutexLock lock(&mutex_);
  return absl::c_linear_search(exempt_, listener);
}

bool Connections::Accepted(int listener, int fd) {
  if (!guards() || IsExempt(listener)) return true;
  if (fd >= kMaxDescriptors || open_ >= options_.max_connections) {
    ++beyond_limit_;
    close(fd);
    return false;
  }
  if (!penalties_->empty() && penalties_->Has(PeerOf(fd).key)) {
    ++refused_;
    HoldOrClose(fd);
    return false;
  }
  Connection* connection = Find(fd);
  if (connection == nullptr) {
    connection = new Connection;
    slots_[fd].store(connection, std::memory_order_release);
  }
  if (Enter(*connection, fd)) {
    ++open_;
    return true;
  }
  ++turned_away_;
  close(fd);
  return false;
}

bool Connections::Enter(Connection& connection, int fd) {
  std::string network = NetworkOf(fd);
  absl::MutexLock lock(&connection.mutex);
  const auto entry = network.empty() ? Turnstile::Entry::kAtOnce
                                     : turnstile_->Enter(network, fd);
  if (entry == Turnstile::Entry::kNever) return false;
  connection.waits = entry == Turnstile::Entry::kLater;
  connection.guard.emplace(
      options_.frames, loads_->Of(network.empty() ? PeerOf(fd).name : network),
      *clock_);
  connection.network = std::move(network);
  connection.begin = clock_->BootTime();
  return true;
}

void Connections::LetIn(int fd) {
  Connection* const connection = Find(fd);
  {
    absl::MutexLock lock(&connection->mutex);
    if (!connection->waits) return;
    connection->begin = clock_->BootTime();
    connection->waits = false;
  }
  ++delayed_;
  // gRPC has been told once of bytes that came meanwhile, and could not read
  // them. Setting SO_RCVLOWAT has the kernel tell it again (tcp_set_rcvlowat).
  const int bytes = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

std::vector<int> Connections::TakeOverdue(absl::Duration now) {
  const auto overdue =
      std::partition(held_.begin(), held_.end(),
                     [&](const Held& each) { return each.until > now; });
  std::vector<int> fds;
  for (auto each = overdue; each != held_.end(); ++each) {
    fds.push_back(each->fd);
  }
  held_.erase(overdue, held_.end());
  return fds;
}

// A peer that is kept waiting does not try again meanwhile.
void Connections::HoldOrClose(int fd) {
  const absl::Duration now = clock_->BootTime();
  std::vector<int> closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = TakeOverdue(now);
    if (held_.size() < kMaxHeld) {
      held_.push_back({fd, now + Penalties::kFirst});
    } else {
      closed.push_back(fd);
    }
  }
  for (const int each : closed) close(each);
}

void Connections::Tick() {
  if (!guards()) return;
  for (const int each : turnstile_->Turn()) LetIn(each);
  std::vector<int> closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = TakeOverdue(clock_->BootTime());
  }
  for (const int each : closed) close(each);
}

bool Connections::ShedOne(int listener) {
  if (!guards()) return false;
  absl::MutexLock lock(&mutex_);
  if (spare_ >= 0) close(spare_);
  const int fd = accept(listener, nullptr, nullptr);
  if (fd >= 0) {
    close(fd);
    ++beyond_limit_;
  }
  spare_ = OpenSpare();
  return fd >= 0;
}

bool Connections::Look(Connection& connection, int fd,
                       absl::Span<const iovec> buffers, size_t size,
                       bool from_client) {
  Verdict verdict = Verdict::kFine;
  {
    absl::MutexLock lock(&connection.mutex);
    if (!connection.guard.has_value()) return true;
    for (const iovec& buffer : buffers) {
      const auto bytes =
          absl::MakeConstSpan(static_cast<const uint8_t*>(buffer.iov_base),
                              std::min(size, buffer.iov_len));
      verdict = from_client ? connection.guard->FromClient(bytes)
                            : connection.guard->FromServer(bytes);
      size -= bytes.size();
      if (size == 0 || verdict != Verdict::kFine) break;
    }
    if (verdict == Verdict::kFine) return true;
    connection.guard.reset();
  }
  --open_;
  const Peer peer = PeerOf(fd);
  shutdown(fd, SHUT_RDWR);
  NoteOffence(verdict, peer.key, peer.name);
  return false;
}

void Connections::Forget(Connection& connection, int fd) {
  Verdict verdict = Verdict::kFine;
  std::string network;
  bool was_there = false;
  {
    absl::MutexLock lock(&connection.mutex);
    if (connection.waits.exchange(false)) {
      turnstile_->Leave(fd);
    } else if (clock_->BootTime() < connection.begin + kYouth) {
      network.swap(connection.network);
    }
    was_there = connection.guard.has_value();
    if (was_there) verdict = connection.guard->AtEnd();
    connection.guard.reset();
    connection.network.clear();
  }
  if (!network.empty() && turnstile_->NoteEnded(network) && MayReport()) {
    on_delay_(network);
  }
  if (!was_there) return;
  --open_;
  if (verdict == Verdict::kFine) return;
  const Peer peer = PeerOf(fd);
  NoteOffence(verdict, peer.key, peer.name);
}

void Connections::NoteOffence(Verdict verdict, const std::string& key,
                              const std::string& name) {
  ++dropped_[static_cast<size_t>(verdict)];
  if (!key.empty()) penalties_->Add(key);
  if (MayReport()) on_offence_({verdict, name});
}

bool Connections::MayReport() {
  const absl::Duration now = clock_->BootTime();
  absl::MutexLock lock(&mutex_);
  if (now >= window_end_) {
    window_end_ = now + kReportWindow;
    reports_ = 0;
  }
  return reports_++ < kReportsInWindow;
}

}  // namespace nfmeter::interpose
