// SPDX-License-Identifier: Apache-2.0
#include "collector/nats_sink.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/src/status_macros.h"
#include "collector/record.h"
#include "google/protobuf/util/json_util.h"

namespace nfmeter::collector {
namespace {

constexpr char kBoard[] = "board";
constexpr char kCursorHeader[] = "Nfmeter-Cursor";
constexpr char kCursorTimeHeader[] = "Nfmeter-Cursor-Time";
constexpr char kNodeHeader[] = "ce-subject";
// Rows of one message; each takes some 100 bytes as JSON, 500 when described.
constexpr int kRowsEach = 1'500;
constexpr int kAttempts = 20;

// Subjects and keys are made of letters, digits, '-' and '_' here.
std::string Token(absl::string_view text) {
  std::string token;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
        c == '_') {
      token.push_back(c);
    } else {
      absl::StrAppendFormat(&token, "=%02X", static_cast<unsigned char>(c));
    }
  }
  return token;
}

std::string SubjectOf(const std::string& node_id) {
  return absl::StrCat("nfmeter.usage.", Token(node_id));
}

std::string CursorText(const std::optional<Cursor>& cursor) {
  if (!cursor.has_value()) return "none";
  return absl::StrCat(cursor->node_id, " ", cursor->epoch, " ",
                      cursor->sequence);
}

std::optional<KnownNode> NodeOf(const nats::Message& message) {
  const auto header = message.headers.find(kCursorHeader);
  if (header == message.headers.end()) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(header->second, ' ');
  KnownNode node;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[1], &node.cursor.epoch) ||
      !absl::SimpleAtoi(parts[2], &node.cursor.sequence)) {
    return std::nullopt;
  }
  node.cursor.node_id = parts[0];
  const auto time = message.headers.find(kCursorTimeHeader);
  if (time != message.headers.end()) {
    (void)absl::SimpleAtoi(time->second, &node.cursor.time);
  }
  const auto name = message.headers.find(kNodeHeader);
  if (name != message.headers.end()) node.name = name->second;
  return node;
}

// A record in parts of kRowsEach rows.
std::vector<v1::UsageRecord> Split(const v1::UsageRecord& record) {
  std::vector<v1::UsageRecord> parts;
  std::map<uint64_t, const v1::UsageCounter*> described;
  for (const v1::UsageCounter& each : record.counters()) {
    described[each.id()] = &each;
  }
  v1::UsageRecord head = record;
  head.clear_counters();
  head.clear_counter_ids();
  head.clear_total_packets();
  head.clear_total_bytes();
  head.clear_gaps();
  int at = 0;
  do {
    v1::UsageRecord& part = parts.emplace_back(head);
    const int end = std::min(at + kRowsEach, record.counter_ids_size());
    for (; at < end; ++at) {
      const auto counter = described.find(record.counter_ids(at));
      if (counter != described.end()) {
        *part.add_counters() = *counter->second;
        described.erase(counter);
      }
      part.add_counter_ids(record.counter_ids(at));
      part.add_total_packets(record.total_packets(at));
      part.add_total_bytes(record.total_bytes(at));
    }
    part.set_partial(at < record.counter_ids_size());
  } while (at < record.counter_ids_size());
  for (const auto& [id, counter] : described) {
    *parts.back().add_counters() = *counter;
  }
  *parts.front().mutable_gaps() = record.gaps();
  return parts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NatsSink>> NatsSink::Open(Options options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<NatsSink> sink(new NatsSink(std::move(options)));
  NFM_ASSIGN_OR_RETURN(
      sink->connection_,
      nats::Connection::Open({.url = sink->options_.url,
                              .stream = "NFMETER_USAGE",
                              .subjects = "nfmeter.usage.*",
                              .bucket = "NFMETER_COLLECTORS",
                              .make = !sink->options_.only_inspect}));
  return sink;
}

// Lines: "m NAME BEAT TTL" and "l SHARD TOKEN BEAT TTL HOLDER".
NatsSink::Board NatsSink::ParseBoard(const std::string& text) {
  Board board;
  const auto number = [](const std::string& from) {
    int64_t value = 0;
    (void)absl::SimpleAtoi(from, &value);
    return value;
  };
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    if (parts.size() == 4 && parts[0] == "m") {
      board.members[parts[1]] = {static_cast<uint64_t>(number(parts[2])),
                                 absl::Milliseconds(number(parts[3]))};
    } else if (parts.size() == 6 && parts[0] == "l") {
      board.leases[static_cast<int>(number(parts[1]))] = {
          number(parts[2]), parts[5], static_cast<uint64_t>(number(parts[3])),
          absl::Milliseconds(number(parts[4]))};
    }
  }
  return board;
}

std::string NatsSink::BoardText(const Board& board) {
  std::string text;
  for (const auto& [name, member] : board.members) {
    absl::StrAppend(&text, "m ", name, " ", member.beat, " ",
                    absl::ToInt64Milliseconds(member.ttl), "\n");
  }
  for (const auto& [shard, lease] : board.leases) {
    absl::StrAppend(&text, "l ", shard, " ", lease.token, " ", lease.beat, " ",
                    absl::ToInt64Milliseconds(lease.ttl), " ", lease.holder,
                    "\n");
  }
  return text;
}

absl::Status NatsSink::ChangeBoard(const std::function<void(Board&)>& change) {
  absl::Status status;
  for (int i = 0; i < kAttempts; ++i) {
    NFM_ASSIGN_OR_RETURN(const nats::Value value, connection_->Get(kBoard));
    Board board = ParseBoard(value.bytes);
    change(board);
    status = connection_->Put(kBoard, BoardText(board), value.revision);
    if (!absl::IsAborted(status)) return status;
  }
  return absl::UnavailableError(status.message());
}

bool NatsSink::IsStale(const std::string& what, uint64_t beat,
                       absl::Duration ttl) {
  const auto [place, is_new] = seen_.try_emplace(what, beat, options_.now());
  if (!is_new && place->second.first != beat) {
    place->second = {beat, options_.now()};
  }
  return options_.now() - place->second.second > ttl;
}

absl::StatusOr<std::vector<std::string>> NatsSink::Join(const std::string& name,
                                                        absl::Duration ttl) {
  std::vector<std::string> alive;
  NFM_RETURN_IF_ERROR(ChangeBoard([&](Board& board) {
    absl::MutexLock lock(&mutex_);
    Member& self = board.members[name];
    ++self.beat;
    self.ttl = ttl;
    alive.clear();
    for (auto it = board.members.begin(); it != board.members.end();) {
      const bool gone = it->first != name &&
                        IsStale(it->first, it->second.beat, it->second.ttl);
      if (!gone) alive.push_back(it->first);
      it = gone ? board.members.erase(it) : std::next(it);
    }
  }));
  return alive;
}

absl::Status NatsSink::Leave(const std::string& name) {
  return ChangeBoard([&name](Board& board) {
    board.members.erase(name);
    for (auto& [shard, lease] : board.leases) {
      if (lease.holder == name) lease.holder.clear();
    }
  });
}

absl::StatusOr<std::vector<Lease>> NatsSink::KeepLeases(
    const std::string& name, absl::Span<const int> shards, absl::Duration ttl) {
  const std::set<int> wanted(shards.begin(), shards.end());
  std::vector<Lease> held;
  NFM_RETURN_IF_ERROR(ChangeBoard([&](Board& board) {
    absl::MutexLock lock(&mutex_);
    held.clear();
    for (auto& [shard, lease] : board.leases) {
      if (lease.holder == name && !wanted.contains(shard)) {
        lease.holder.clear();
      }
    }
    for (const int shard : wanted) {
      Held& lease = board.leases[shard];
      if (lease.holder != name) {
        const std::string what =
            absl::StrCat("lease ", shard, " ", lease.token);
        if (!lease.holder.empty() && !IsStale(what, lease.beat, lease.ttl)) {
          continue;
        }
        seen_.erase(what);
        lease.holder = name;
        ++lease.token;
      }
      ++lease.beat;
      lease.ttl = ttl;
      held.push_back({shard, lease.token});
    }
  }));
  return held;
}

absl::StatusOr<std::optional<KnownNode>> NatsSink::FindNode(
    const std::string& name) {
  NFM_ASSIGN_OR_RETURN(const nats::Value id,
                       connection_->Get(absl::StrCat("name.", Token(name))));
  if (id.revision == 0) return std::nullopt;
  NFM_ASSIGN_OR_RETURN(auto node, FindNodeById(id.bytes));
  if (node.has_value() && node->name != name) return std::nullopt;
  return node;
}

absl::StatusOr<std::optional<KnownNode>> NatsSink::FindNodeById(
    const std::string& node_id) {
  NFM_ASSIGN_OR_RETURN(const auto last, connection_->Last(SubjectOf(node_id)));
  if (!last.has_value()) return std::nullopt;
  return NodeOf(*last);
}

absl::Status NatsSink::CheckLease(const Batch& batch) {
  NFM_ASSIGN_OR_RETURN(const nats::Value value, connection_->Get(kBoard));
  const Board board = ParseBoard(value.bytes);
  const auto lease = board.leases.find(batch.lease.shard);
  return lease != board.leases.end() && lease->second.token == batch.lease.token
             ? absl::OkStatus()
             : LeaseLost(batch);
}

absl::Status NatsSink::KeepName(const Batch& batch) {
  const std::string& id = batch.records.front().node_id();
  {
    absl::MutexLock lock(&mutex_);
    if (names_[batch.node] == id) return absl::OkStatus();
  }
  const std::string key = absl::StrCat("name.", Token(batch.node));
  NFM_ASSIGN_OR_RETURN(const nats::Value value, connection_->Get(key));
  if (value.bytes != id) {
    NFM_RETURN_IF_ERROR(connection_->Put(key, id, value.revision));
  }
  absl::MutexLock lock(&mutex_);
  names_[batch.node] = id;
  return absl::OkStatus();
}

absl::Status NatsSink::Store(const Batch& batch) {
  NFM_RETURN_IF_ERROR(CheckTotals(batch));
  NFM_RETURN_IF_ERROR(CheckLease(batch));
  NFM_ASSIGN_OR_RETURN(
      const auto last_message,
      connection_->Last(SubjectOf(batch.records.front().node_id())));
  std::optional<Cursor> cursor;
  uint64_t last = 0;
  if (last_message.has_value()) {
    last = last_message->sequence;
    if (const auto node = NodeOf(*last_message)) cursor = node->cursor;
  }
  if (cursor != batch.expected) return CursorMoved(batch);
  NFM_RETURN_IF_ERROR(KeepName(batch));
  for (const v1::UsageRecord& record : batch.records) {
    const absl::Status status = Publish(batch, record, cursor, last);
    if (absl::IsAborted(status)) return CursorMoved(batch);
    NFM_RETURN_IF_ERROR(status);
    cursor = CursorAfter(record);
  }
  return absl::OkStatus();
}

// The cursor moves with the last part: a record whose parts are not all there
// is sent again, all of it.
absl::Status NatsSink::Publish(const Batch& batch,
                               const v1::UsageRecord& record,
                               const std::optional<Cursor>& before,
                               uint64_t& last) {
  const Cursor after = CursorAfter(record);
  const std::vector<v1::UsageRecord> parts = Split(record);
  for (size_t i = 0; i < parts.size(); ++i) {
    nats::Message message;
    (void)google::protobuf::util::MessageToJsonString(parts[i], &message.data);
    const std::string place =
        absl::StrCat(after.node_id, "/", after.epoch, "/", after.sequence, "/",
                     after.time, "/", i + 1, "/", parts.size());
    const std::optional<Cursor> cursor =
        i + 1 == parts.size() ? std::optional(after) : before;
    message.headers = {
        {"ce-specversion", "1.0"},
        {"ce-type", "nfmeter.v1.UsageRecord"},
        {"ce-source", absl::StrCat("nfmeter/", after.node_id)},
        {"ce-id", place},
        {"ce-time",
         absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(after.time),
                          absl::UTCTimeZone())},
        {"content-type", "application/json"},
        {kNodeHeader, batch.node},
        {kCursorHeader, CursorText(cursor)},
        {kCursorTimeHeader, absl::StrCat(cursor.value_or(Cursor()).time)}};
    if (batch.set_back && &record == &batch.records.front()) {
      message.headers["Nfmeter-Set-Back"] = "true";
    }
    NFM_ASSIGN_OR_RETURN(
        last, connection_->Publish(SubjectOf(after.node_id), message, last));
  }
  return absl::OkStatus();
}

absl::Status NatsSink::Report(const std::string& collector,
                              absl::Span<const TargetReport> targets) {
  for (const TargetReport& target : targets) {
    const std::string key = absl::StrCat("target.", Token(target.name));
    NFM_ASSIGN_OR_RETURN(const nats::Value value, connection_->Get(key));
    NFM_RETURN_IF_ERROR(connection_->Put(
        key,
        absl::StrJoin({target.name, target.address, collector, target.error},
                      "\n"),
        value.revision));
  }
  return absl::OkStatus();
}

absl::StatusOr<FleetStatus> NatsSink::Inspect() {
  FleetStatus status;
  NFM_ASSIGN_OR_RETURN(const nats::Value value, connection_->Get(kBoard));
  const Board board = ParseBoard(value.bytes);
  // Those that live strike out others; where none does, the board is old.
  const absl::Duration age = options_.now() - value.changed;
  for (const auto& [name, member] : board.members) {
    if (age <= member.ttl) status.collectors.push_back(name);
  }
  for (const auto& [shard, lease] : board.leases) {
    if (!lease.holder.empty() && age <= lease.ttl) ++status.shards_held;
  }
  NFM_ASSIGN_OR_RETURN(std::vector<std::string> keys, connection_->Keys());
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    if (!absl::StartsWith(key, "target.")) continue;
    NFM_ASSIGN_OR_RETURN(const nats::Value target, connection_->Get(key));
    const std::vector<std::string> lines = absl::StrSplit(target.bytes, '\n');
    if (lines.size() < 4) continue;
    NodeStatus row = {.name = lines[0],
                      .address = lines[1],
                      .collector = lines[2],
                      .error = lines[3]};
    NFM_ASSIGN_OR_RETURN(const nats::Value id, connection_->Get(absl::StrCat(
                                                   "name.", Token(row.name))));
    if (id.revision != 0) {
      NFM_ASSIGN_OR_RETURN(const auto last,
                           connection_->Last(SubjectOf(id.bytes)));
      const auto node = last.has_value() ? NodeOf(*last) : std::nullopt;
      if (node.has_value() && node->name == row.name) {
        row.node_id = node->cursor.node_id;
        row.sequence = node->cursor.sequence;
        absl::Time time;
        const auto header = last->headers.find("ce-time");
        std::string error;
        if (header != last->headers.end() &&
            absl::ParseTime(absl::RFC3339_full, header->second, &time,
                            &error)) {
          row.record_time = row.stored_time = time;
        }
      }
    }
    status.nodes.push_back(std::move(row));
  }
  return status;
}

}  // namespace nfmeter::collector
