// SPDX-License-Identifier: Apache-2.0
#include "cli/usage_lines.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/message_text.h"
#include "cli/table.h"
#include "cli/usage_views.h"
#include "cli/views.h"
#include "client/src/words.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/time_util.h"

namespace nfmeter::cli {
namespace {

using ::google::protobuf::Struct;

std::string RecordId(const v1::UsageRecord& record) {
  // A ledger that was set back gives sequences again, with other times.
  return absl::StrCat(
      record.node_id(), "/", record.position().epoch(), "/",
      record.position().sequence(), "/",
      google::protobuf::util::TimeUtil::TimestampToMicroseconds(record.time()));
}

std::string JsonLine(const Struct& object) {
  return MessageToJson(object, JsonLayout::kOneLine) + "\n";
}

// What lines of both kinds begin with.
Struct DataOf(const v1::UsageRecord& record) {
  Struct data;
  SetText(data, "nodeId", record.node_id());
  SetText(data, "epoch", absl::StrCat(record.position().epoch()));
  SetText(data, "sequence", absl::StrCat(record.position().sequence()));
  return data;
}

// A line of JSON about a "total" or "gap".
std::string ObjectLine(LineForm form, const v1::UsageRecord& record,
                       const std::string& id, const std::string& kind,
                       const std::string& subject, Struct data) {
  if (form != LineForm::kCloudEvents) {
    SetText(data, "id", id);
    SetText(data, "type", kind);
    SetText(data, "time", TimeText(record.time()));
    return JsonLine(data);
  }
  // https://github.com/cloudevents/spec: the JSON event format.
  Struct event;
  SetText(event, "specversion", "1.0");
  SetText(event, "id", id);
  SetText(event, "source", absl::StrCat("/nfmeter/nodes/", record.node_id()));
  SetText(event, "type", absl::StrCat("io.nfmeter.usage.", kind, ".v1"));
  if (!subject.empty()) SetText(event, "subject", subject);
  SetText(event, "time", TimeText(record.time()));
  SetText(event, "datacontenttype", "application/json");
  *(*event.mutable_fields())["data"].mutable_struct_value() = std::move(data);
  return JsonLine(event);
}

// A line of CSV without its heading.
std::string CsvLine(const std::vector<std::string>& fields) {
  Table table;
  table.rows.emplace_back(fields.begin(), fields.end());
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
                    absl::AsciiStrToLower(EnumWord(counter.state())),
                    absl::StrCat(record.total_packets(row)),
                    absl::StrCat(record.total_bytes(row)), LabelText(counter)});
  }
  Struct data = DataOf(record);
  SetText(data, "counterId", absl::StrCat(counter_id));
  SetText(data, "counter", counter.name());
  (*data.mutable_fields())["generation"].set_number_value(counter.generation());
  SetText(data, "state", absl::AsciiStrToLower(EnumWord(counter.state())));
  SetText(data, "totalPackets", absl::StrCat(record.total_packets(row)));
  SetText(data, "totalBytes", absl::StrCat(record.total_bytes(row)));
  Struct& labels = *(*data.mutable_fields())["labels"].mutable_struct_value();
  for (const auto& [key, value] : counter.labels()) SetText(labels, key, value);
  return ObjectLine(form_, record, id, "total", counter.name(),
                    std::move(data));
}

std::string UsageLines::FormatGap(const v1::UsageRecord& record,
                                  int number) const {
  const v1::UsageGap& gap = record.gaps(number);
  const std::string id = absl::StrCat(RecordId(record), "/gap-", number);
  Struct data = DataOf(record);
  if (gap.counter_id() != 0) {
    SetText(data, "counterId", absl::StrCat(gap.counter_id()));
    SetText(data, "counter", gap.counter());
  }
  SetText(data, "cause", EnumWord(gap.cause()));
  if (gap.has_start_time()) {
    SetText(data, "startTime", TimeText(gap.start_time()));
  }
  SetText(data, "endTime", TimeText(gap.end_time()));
  if (gap.bounded()) {
    SetText(data, "maxPackets", absl::StrCat(gap.max_packets()));
    SetText(data, "maxBytes", absl::StrCat(gap.max_bytes()));
  }
  return ObjectLine(form_, record, id, "gap", gap.counter(), std::move(data));
}

}  // namespace nfmeter::cli
