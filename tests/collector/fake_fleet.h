// SPDX-License-Identifier: GPL-3.0-or-later
// Many nodes behind one port: each has an address of 127.0.0.0/8 of its own.
#ifndef NFMETER_TESTS_COLLECTOR_FAKE_FLEET_H_
#define NFMETER_TESTS_COLLECTOR_FAKE_FLEET_H_

#include <grpcpp/server.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/usage.pb.h"
#include "tests/system/certificates.h"

namespace nfmeter::testing {

// A node's ledger: counters called "c1" and so on, 100 bytes a packet. Keeps
// every record of its epoch. Thread-safe.
class FakeNode {
 public:
  FakeNode(std::string id, int counters);

  // What the kernel has counted, until the next Tick() only there.
  void Count(int counter, uint64_t packets);
  // Makes a record of what has changed.
  void Tick();
  // The ledger begins anew, as one restored from a backup does: totals are
  // those of `sequence`. In the same epoch: as one that was copied.
  void SetBack(uint64_t sequence, uint64_t epoch);
  // What it calls itself; for nodes that were cloned.
  void SetId(const std::string& id);
  // Its clock is ahead by as much.
  void SetClockAhead(int64_t seconds);
  // Begins no streams from now on, or does again; open ones stay silent.
  void SetSilent(bool silent);

  int counters() const { return counters_; }
  uint64_t total(int counter) const;
  uint64_t sequence() const;
  // By the consumer, in this epoch.
  uint64_t acknowledged() const;
  // Bytes of records that were sent and not acknowledged, at most.
  size_t most_unacknowledged() const;
  // Streams that were begun.
  int streams() const;
  // How often it was asked who it is.
  int introductions() const;

  // --- For the server ---

  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnRecord() = 0;
  };
  // The listener is told of records until it is removed.
  void Add(Listener* listener);
  void Remove(Listener* listener);
  bool silent() const;
  // The one after `position` (null: a full one), with descriptions of counters
  // that are not in `described`, and are from then on. False: there is none
  // yet.
  bool Next(const v1::UsagePosition* position, std::set<uint64_t>& described,
            v1::UsageRecord* record) const;
  // OUT_OF_RANGE and FAILED_PRECONDITION as nfmeterd says.
  grpc::Status CheckPosition(const v1::UsagePosition& position) const;
  void Acknowledge(const v1::UsagePosition& position);
  void NoteUnacknowledged(size_t bytes);
  v1::Node Introduce();

 private:
  v1::UsageRecord Describe(const v1::UsageRecord& record,
                           std::set<uint64_t>& described) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int counters_;
  mutable absl::Mutex mutex_;
  std::string id_ ABSL_GUARDED_BY(mutex_);
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, uint64_t> packets_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, uint64_t> recorded_ ABSL_GUARDED_BY(mutex_);
  // Totals only; the i-th has sequence i + 1.
  std::vector<v1::UsageRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::vector<Listener*> listeners_ ABSL_GUARDED_BY(mutex_);
  uint64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t most_unacknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
  int introductions_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t clock_ahead_ ABSL_GUARDED_BY(mutex_) = 0;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
};

// The nodes and their server.
class FakeFleet {
 public:
  // Node 0 is at 127.1.0.1 (with the default prefix), 1 at 127.1.0.2, ..., on a
  // port that the kernel chose, with `counters` counters each.
  FakeFleet(int nodes, int counters, std::string prefix = "127.1.");
  // The same over mutual TLS, with files that are added to `certificates`,
  // which must outlive this. The certificate of the nodes is one and the same.
  FakeFleet(int nodes, int counters, Certificates* certificates);
  ~FakeFleet();

  FakeNode& node(int i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }
  std::string address(int i) const;
  // "n0", "n1", ...
  static std::string NameOf(int i);
  // nodes.yaml for all of them.
  std::string Targets() const;
  // Packets of all counters of all nodes.
  uint64_t Total() const;

 private:
  class UsageService;
  class NodeService;

  FakeFleet(int nodes, int counters, std::string prefix,
            Certificates* certificates);
  // What a node's certificate is for, where it has one.
  static std::string HostOf(int i);
  FakeNode* Find(grpc::string_ref authority) const;

  const std::string prefix_;
  const Certificates* const certificates_;  // null: no TLS
  std::vector<std::unique_ptr<FakeNode>> nodes_;
  std::map<std::string, FakeNode*> by_authority_;
  std::unique_ptr<UsageService> usage_service_;
  std::unique_ptr<NodeService> node_service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_FAKE_FLEET_H_
