// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/src/words.h"
#include "collector/postgres_schema.h"
#include "collector/record.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace nfmeter::collector {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using postgres::Parameter;

std::string TimeText(int64_t micros) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S+00",
                          absl::FromUnixMicros(micros), absl::UTCTimeZone());
}

// The members of a JSON object. Numbers go as text: those of JSON have 53 bits.
class Members {
 public:
  explicit Members(ListValue& list)
      : fields_(*list.add_values()->mutable_struct_value()->mutable_fields()) {}

  void Text(const char* name, const std::string& value) {
    fields_[name].set_string_value(value);
  }
  void Number(const char* name, uint64_t value) {
    Text(name, absl::StrCat(static_cast<int64_t>(value)));
  }
  // Absent where it is unknown.
  void Time(const char* name, int64_t micros) {
    if (micros != 0) Text(name, TimeText(micros));
  }
  void Bool(const char* name, bool value) {
    fields_[name].set_bool_value(value);
  }
  Struct* Object(const char* name) {
    return fields_[name].mutable_struct_value();
  }

 private:
  google::protobuf::Map<std::string, google::protobuf::Value>& fields_;
};

Parameter JsonOf(const ListValue& list) {
  if (list.values_size() == 0) return Parameter::NullJson();
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(list, &json);
  return Parameter::Json(json);
}

// As each counter was described last.
Parameter CountersOf(const Batch& batch) {
  std::map<uint64_t, const v1::UsageCounter*> counters;
  for (const v1::UsageRecord& record : batch.records) {
    for (const v1::UsageCounter& counter : record.counters()) {
      counters[counter.id()] = &counter;
    }
  }
  ListValue list;
  for (const auto& [id, counter] : counters) {
    Members members(list);
    members.Number("id", id);
    members.Text("name", counter->name());
    members.Number("generation", counter->generation());
    members.Text("state", absl::AsciiStrToLower(EnumWord(counter->state())));
    members.Time("created", Micros(counter->create_time()));
    members.Time("started", Micros(counter->start_time()));
    members.Time("ended", Micros(counter->end_time()));
    auto& labels = *members.Object("labels")->mutable_fields();
    for (const auto& [key, value] : counter->labels()) {
      labels[key].set_string_value(value);
    }
  }
  return JsonOf(list);
}

Parameter GapsParameter(const Batch& batch) {
  ListValue list;
  for (const GapRow& gap : GapsOf(batch)) {
    Members members(list);
    members.Number("sequence", gap.sequence);
    members.Number("id", gap.counter_id);
    members.Text("counter", gap.counter);
    members.Text("cause", gap.cause);
    members.Time("started", gap.start);
    members.Time("ended", gap.end);
    members.Bool("bounded", gap.bounded);
    members.Number("packets", gap.max_packets);
    members.Number("bytes", gap.max_bytes);
  }
  return JsonOf(list);
}

}  // namespace

std::string PostgresRecords(const Batch& batch, int32_t node) {
  postgres::CopyData data;
  for (const v1::UsageRecord& record : batch.records) {
    const int64_t time = Micros(record.time());
    for (int i = 0; i < record.counter_ids_size(); ++i) {
      data.StartRow(7);
      data.Int(node);
      data.Time(time);
      data.Bigint(static_cast<int64_t>(record.position().epoch()));
      data.Bigint(static_cast<int64_t>(record.position().sequence()));
      data.Bigint(static_cast<int64_t>(record.counter_ids(i)));
      data.Bigint(static_cast<int64_t>(record.total_packets(i)));
      data.Bigint(static_cast<int64_t>(record.total_bytes(i)));
    }
  }
  return data.Take();
}

std::vector<Parameter> PostgresBatch(const Batch& batch, int32_t node) {
  // Only the last total of each counter counts.
  std::vector<int64_t> ids;
  std::vector<int64_t> packets;
  std::vector<int64_t> bytes;
  absl::flat_hash_map<uint64_t, size_t> places;
  std::set<int64_t> buckets;
  for (const v1::UsageRecord& record : batch.records) {
    const int64_t time = Micros(record.time());
    buckets.insert(BucketOf(time, kFiveMinutes));
    for (int i = 0; i < record.counter_ids_size(); ++i) {
      const auto [place, is_new] =
          places.emplace(record.counter_ids(i), ids.size());
      if (is_new) {
        ids.push_back(static_cast<int64_t>(record.counter_ids(i)));
        packets.emplace_back();
        bytes.emplace_back();
      }
      packets[place->second] = static_cast<int64_t>(record.total_packets(i));
      bytes[place->second] = static_cast<int64_t>(record.total_bytes(i));
    }
  }
  const v1::UsageRecord& last = batch.records.back();
  const bool known = batch.expected.has_value();
  return {
      Parameter::Int(batch.lease.shard),
      Parameter::Bigint(batch.lease.token),
      Parameter::Int(node),
      Parameter::Text(batch.node),
      known ? Parameter::Bigint(static_cast<int64_t>(batch.expected->epoch))
            : Parameter::NullBigint(),
      known ? Parameter::Bigint(static_cast<int64_t>(batch.expected->sequence))
            : Parameter::NullBigint(),
      Parameter::Bigint(static_cast<int64_t>(last.position().epoch())),
      Parameter::Bigint(static_cast<int64_t>(last.position().sequence())),
      Parameter::Time(Micros(last.time())),
      Parameter::Bigints(ids),
      Parameter::Bigints(packets),
      Parameter::Bigints(bytes),
      CountersOf(batch),
      GapsParameter(batch),
      Parameter::Times(std::vector<int64_t>(buckets.begin(), buckets.end())),
  };
}

}  // namespace nfmeter::collector
