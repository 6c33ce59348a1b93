// SPDX-License-Identifier: Apache-2.0
// NATS JetStream, over cnats, as the collector needs it.
#ifndef NFMETER_COLLECTOR_NATS_H_
#define NFMETER_COLLECTOR_NATS_H_

#include <nats/nats.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace nfmeter::collector::nats {

template <auto destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};
template <typename T, auto destroy>
using Owned = std::unique_ptr<T, Destroyer<destroy>>;

// A message of a stream.
struct Message {
  uint64_t sequence = 0;  // in the stream
  std::map<std::string, std::string> headers;
  std::string data;
};

// A value of a bucket and the revision that a change of it has to name.
struct Value {
  uint64_t revision = 0;  // 0: there is none
  std::string bytes;
  absl::Time changed = absl::InfinitePast();  // by the servers' clock
};

// A connection that makes itself again when it breaks, with one stream and one
// bucket. Errors of all functions: UNAVAILABLE: no server or no quorum answers;
// ABORTED: what the change expected is not so any more; PERMISSION_DENIED;
// RESOURCE_EXHAUSTED: the servers have no room; FAILED_PRECONDITION: JetStream
// is off, or refuses. Thread-safe.
class Connection {
 public:
  struct Options {
    std::string url;     // nats://..., several by comma
    std::string stream;  // "NFMETER_USAGE", with `subjects`
    std::string subjects;
    std::string bucket;  // empty: none
    bool make = true;    // stream and bucket, where there are none
  };
  static absl::StatusOr<std::unique_ptr<Connection>> Open(
      const Options& options);

  // The last message of a subject; absent: none.
  absl::StatusOr<std::optional<Message>> Last(const std::string& subject);
  // Appends it if the last one of its subject has sequence `last` (0: there is
  // none); its own sequence, once most servers have it on their disks.
  absl::StatusOr<uint64_t> Publish(const std::string& subject,
                                   const Message& message, uint64_t last);
  // Appends it; an `id` that came in the last two minutes is not kept again.
  absl::Status Append(const std::string& subject, const Message& message,
                      const std::string& id);

  absl::StatusOr<Value> Get(const std::string& key);
  // If its revision is still `revision`.
  absl::Status Put(const std::string& key, const std::string& bytes,
                   uint64_t revision);
  absl::StatusOr<std::vector<std::string>> Keys();

 private:
  explicit Connection(const Options& options) : options_(options) {}
  absl::Status Connect();
  absl::Status MakeStream();
  absl::Status MakeBucket();
  absl::StatusOr<uint64_t> Send(const std::string& subject,
                                const Message& message, jsPubOptions& options);

  const Options options_;
  Owned<natsConnection, &natsConnection_Destroy> connection_;
  Owned<jsCtx, &jsCtx_Destroy> jetstream_;
  Owned<kvStore, &kvStore_Destroy> bucket_;
};

}  // namespace nfmeter::collector::nats

#endif  // NFMETER_COLLECTOR_NATS_H_
