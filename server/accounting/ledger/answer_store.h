// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of changes, by request_id, in the ledger's file.
#ifndef NFMETER_ACCOUNTING_LEDGER_ANSWER_STORE_H_
#define NFMETER_ACCOUNTING_LEDGER_ANSWER_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

struct StoredAnswer {
  std::string method;  // and whose it is
  std::string request_id;
  uint64_t fingerprint = 0;  // of the request
  std::string answer;
  absl::Time time;  // of the wall clock
};

// Keeps answers over restarts; which of them, its user says. Thread-safe: calls
// at the same time share a transaction.
class AnswerStore {
 public:
  // Opens the ledger's file. Where the disk is full or read-only, what is
  // there is read, and Put() fails until there is room. `awaits_new_file`: what
  // is there is damaged, and BeginAnew() will be called when there is another.
  // Statuses: sqlite::Database::Open().
  static absl::StatusOr<std::unique_ptr<AnswerStore>> Open(
      const std::string& ledger_path, bool awaits_new_file = false);

  // The file was replaced by a new one, which has no answers.
  absl::Status BeginAnew();

  // Method and request_id.
  using Key = std::pair<std::string, std::string>;

  // Keeps one and forgets others; durable when this returns OK. UNAVAILABLE:
  // the disk does not take it.
  absl::Status Put(StoredAnswer answer, std::vector<Key> forgotten);

  // Those of `since` or later, the oldest first; older ones are forgotten.
  // Once, before all others.
  absl::StatusOr<std::vector<StoredAnswer>> Load(absl::Time since);

 private:
  // A call of Put().
  struct Waiting {
    const StoredAnswer* answer = nullptr;
    const std::vector<Key>* forgotten = nullptr;
    bool done = false;
    absl::Status status;
  };

  AnswerStore(std::string path, std::unique_ptr<sqlite::Database> db)
      : path_(std::move(path)), db_(std::move(db)) {}

  absl::StatusOr<std::vector<StoredAnswer>> Read(absl::Time since);
  absl::Status Reopen();
  absl::Status Write(const std::vector<Waiting*>& calls);

  const std::string path_;
  // Used by whoever has set writing_. Null: the file is still to come, or could
  // not be opened anew.
  std::unique_ptr<sqlite::Database> db_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Waiting*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_ANSWER_STORE_H_
