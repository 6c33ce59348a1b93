// SPDX-License-Identifier: GPL-3.0-or-later
// What clients have under way: each of them, and all together.
#ifndef NFMETER_INTERPOSE_CLIENT_LOADS_H_
#define NFMETER_INTERPOSE_CLIENT_LOADS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::interpose {

// Calls that clients have open, over however many connections, and the bytes of
// requests that wait there to be answered. Where all together have too much,
// each client with a call open may have an equal share, and one that is over
// its share gets no more: a client with little pays nothing for one with much.
// All together then have at most twice the bound.
//
// Thread-safe. Must outlive its clients.
class ClientLoads {
 public:
  struct Limits {
    size_t max_calls = 16'384;
    size_t max_request_bytes = 64 << 20;
  };

  class Client {
   public:
    Client(ClientLoads& all, std::string name)
        : all_(all), name_(std::move(name)) {}
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void Open();
    void Receive(size_t request_bytes);
    // Some of what was received needs no more room.
    void Release(size_t request_bytes);
    // A call ends, all of whose bytes were released.
    void Close();

    // It has more than its share, and all have more than they may.
    bool HasTooManyCalls() const;
    bool HasTooManyBytes() const;

   private:
    ClientLoads& all_;
    const std::string name_;
    std::atomic<size_t> calls_ = 0;
    std::atomic<size_t> request_bytes_ = 0;
  };

  explicit ClientLoads(const Limits& limits) : limits_(limits) {}
  ClientLoads(const ClientLoads&) = delete;
  ClientLoads& operator=(const ClientLoads&) = delete;

  // The client of this name, which all connections with it share.
  std::shared_ptr<Client> Of(const std::string& name);

  size_t calls() const { return calls_; }
  size_t request_bytes() const { return request_bytes_; }

 private:
  bool IsOverShare(size_t own, size_t all, size_t limit) const;

  const Limits limits_;
  std::atomic<size_t> calls_ = 0;
  std::atomic<size_t> request_bytes_ = 0;
  std::atomic<size_t> active_clients_ = 0;  // with calls open
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::weak_ptr<Client>> clients_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_CLIENT_LOADS_H_
