// SPDX-License-Identifier: Apache-2.0
#include "cli/usage_lines.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/message_text.h"
#include "cli/table.h"
#include "cli/usage_views.h"
#include "cli/views.h"
#include "client/src/words.h"
#include "google/protobuf/struct.pb.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::Struct;

constexpr char kTotalType[] = "io.nfmeter.usage.total.v1";
constexpr char kGapType[] = "io.nfmeter.usage.gap.v1";

// 64-bit numbers are strings, as in all JSON of this command: other languages'
// numbers hold 53 bits.
void Set(Struct& object, const std::string& key, const std::string& value) {
  (*object.mutable_fields())[key].set_string_value(value);
}

void SetLabels(Struct& object, const v1::UsageCounter& counter) {
  Struct& labels = *(*object.mutable_fields())["labels"].mutable_struct_value();
  for (const auto& [key, value] : counter.labels()) Set(labels, key, value);
}

std::string RecordId(const v1::UsageRecord& record) {
  return absl::StrCat(record.node_id(), "/", record.position().epoch(), "/",
                      record.position().sequence());
}

std::string JsonLine(const Struct& object) {
  return MessageToJson(object, JsonLayout::kOneLine) + "\n";
}

// https://github.com/cloudevents/spec: the JSON event format.
std::string CloudEvent(const v1::UsageRecord& record, const std::string& id,
                       const char* type, const std::string& subject,
                       const Struct& data) {
  Struct event;
  Set(event, "specversion", "1.0");
  Set(event, "id", id);
  Set(event, "source", absl::StrCat("/nfmeter/nodes/", record.node_id()));
  Set(event, "type", type);
  if (!subject.empty()) Set(event, "subject", subject);
  Set(event, "time", TimeText(record.time()));
  Set(event, "datacontenttype", "application/json");
  *(*event.mutable_fields())["data"].mutable_struct_value() = data;
  return JsonLine(event);
}

// A line of CSV without its heading.
std::string CsvLine(std::vector<std::string> fields) {
  Table table;
  std::vector<Cell>& row = table.rows.emplace_back();
  for (std::string& field : fields) {
    table.headings.push_back({""});
    row.push_back({std::move(field)});
  }
  return RenderCsv(table, /*with_heading=*/false);
}

std::string LabelText(const v1::UsageCounter& counter) {
  const std::map<std::string, std::string> sorted(counter.labels().begin(),
                                                  counter.labels().end());
  std::string text;
  for (const auto& [key, value] : sorted) {
    absl::StrAppend(&text, text.empty() ? "" : ";", key, "=", value);
  }
  return text;
}

}  // namespace

std::string UsageLines::Heading() const {
  if (form_ != LineForm::kCsv) return "";
  return "id,time,node_id,epoch,sequence,counter_id,counter,generation,state,"
         "total_packets,total_bytes,labels\n";
}

std::string UsageLines::Format(const v1::UsageRecord& record) {
  for (const v1::UsageCounter& counter : record.counters()) {
    counters_[counter.id()] = counter;
  }
  std::string text;
  if (form_ != LineForm::kCsv) {
    for (int i = 0; i < record.gaps_size(); ++i) {
      text += FormatGap(record, i);
    }
  }
  for (int i = 0; i < record.counter_ids_size(); ++i) {
    text += FormatTotal(record, i);
  }
  return text;
}

std::string UsageLines::FormatTotal(const v1::UsageRecord& record,
                                    int row) const {
  const uint64_t counter_id = record.counter_ids(row);
  const auto found = counters_.find(counter_id);
  const v1::UsageCounter& counter = found == counters_.end()
                                        ? v1::UsageCounter::default_instance()
                                        : found->second;
  const std::string id = absl::StrCat(RecordId(record), "/", counter_id);
  if (form_ == LineForm::kCsv) {
    return CsvLine({id, TimeText(record.time()), record.node_id(),
                    absl::StrCat(record.position().epoch()),
                    absl::StrCat(record.position().sequence()),
                    absl::StrCat(counter_id), counter.name(),
                    absl::StrCat(counter.generation()),
                    CounterStateName(counter.state()),
                    absl::StrCat(record.total_packets(row)),
                    absl::StrCat(record.total_bytes(row)), LabelText(counter)});
  }
  Struct data;
  Set(data, "nodeId", record.node_id());
  Set(data, "epoch", absl::StrCat(record.position().epoch()));
  Set(data, "sequence", absl::StrCat(record.position().sequence()));
  Set(data, "counterId", absl::StrCat(counter_id));
  Set(data, "counter", counter.name());
  (*data.mutable_fields())["generation"].set_number_value(counter.generation());
  Set(data, "state", CounterStateName(counter.state()));
  Set(data, "totalPackets", absl::StrCat(record.total_packets(row)));
  Set(data, "totalBytes", absl::StrCat(record.total_bytes(row)));
  SetLabels(data, counter);
  if (form_ == LineForm::kCloudEvents) {
    return CloudEvent(record, id, kTotalType, counter.name(), data);
  }
  Set(data, "id", id);
  Set(data, "type", "total");
  Set(data, "time", TimeText(record.time()));
  return JsonLine(data);
}

std::string UsageLines::FormatGap(const v1::UsageRecord& record,
                                  int number) const {
  const v1::UsageGap& gap = record.gaps(number);
  const std::string id = absl::StrCat(RecordId(record), "/gap-", number);
  Struct data;
  Set(data, "nodeId", record.node_id());
  Set(data, "epoch", absl::StrCat(record.position().epoch()));
  Set(data, "sequence", absl::StrCat(record.position().sequence()));
  if (gap.counter_id() != 0) {
    Set(data, "counterId", absl::StrCat(gap.counter_id()));
    Set(data, "counter", gap.counter());
  }
  Set(data, "cause", GapCauseName(gap.cause()));
  if (gap.has_start_time()) Set(data, "startTime", TimeText(gap.start_time()));
  Set(data, "endTime", TimeText(gap.end_time()));
  if (gap.bounded()) {
    Set(data, "maxPackets", absl::StrCat(gap.max_packets()));
    Set(data, "maxBytes", absl::StrCat(gap.max_bytes()));
  }
  if (form_ == LineForm::kCloudEvents) {
    return CloudEvent(record, id, kGapType, gap.counter(), data);
  }
  Set(data, "id", id);
  Set(data, "type", "gap");
  Set(data, "time", TimeText(record.time()));
  return JsonLine(data);
}

}  // namespace nfmeter::cli
