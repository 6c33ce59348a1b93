// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/nats_reader.h"

#include <nats/nats.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "nfmeter/v1/usage.pb.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

constexpr char kStream[] = "NFMETER_USAGE";

std::string Header(natsMsg* message, const char* key) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, key, &value) == NATS_OK ? value : "";
}

// A counter's account, as docs/fleet.md tells readers to keep it.
struct Account {
  std::string name;
  int64_t created = 0;
  int64_t total[2] = {0, 0};
  int64_t base[2] = {0, 0};
};

// A connection and what reads over it.
class Reader {
 public:
  explicit Reader(const std::string& url) {
    const std::vector<std::string> urls = absl::StrSplit(url, ',');
    std::vector<const char*> servers;
    for (const std::string& each : urls) servers.push_back(each.c_str());
    natsOptions_Create(&options_);
    natsOptions_SetServers(options_, servers.data(),
                           static_cast<int>(servers.size()));
    EXPECT_EQ(natsConnection_Connect(&connection_, options_), NATS_OK);
    EXPECT_EQ(natsConnection_JetStream(&js_, connection_, nullptr), NATS_OK);
  }
  ~Reader() {
    jsCtx_Destroy(js_);
    natsConnection_Destroy(connection_);
    natsOptions_Destroy(options_);
  }

  // 0: it is empty, or there is none.
  uint64_t LastSequence(const char* stream) {
    jsStreamInfo* info = nullptr;
    js_GetStreamInfo(&info, js_, stream, nullptr, nullptr);
    const uint64_t last = info == nullptr ? 0 : info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    return last;
  }
  // Null: it can't be read.
  natsMsg* Get(const char* stream, uint64_t sequence) {
    natsMsg* message = nullptr;
    js_GetMsg(&message, js_, stream, sequence, nullptr, nullptr);
    return message;
  }

 private:
  natsOptions* options_ = nullptr;
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

}  // namespace

std::vector<std::string> ReadHeaders(const std::string& url,
                                     const std::string& stream,
                                     const std::string& header) {
  Reader reader(url);
  std::vector<std::string> values;
  const uint64_t last = reader.LastSequence(stream.c_str());
  for (uint64_t sequence = 1; sequence <= last; ++sequence) {
    natsMsg* message = reader.Get(stream.c_str(), sequence);
    if (message == nullptr) continue;
    values.push_back(Header(message, header.c_str()));
    natsMsg_Destroy(message);
  }
  return values;
}

StreamContents ReadStream(const std::string& url) {
  StreamContents contents;
  Reader reader(url);
  const uint64_t last = reader.LastSequence(kStream);

  std::map<std::string, std::string> names;  // of nodes, by id
  std::map<std::tuple<std::string, uint64_t, uint64_t>, Account> accounts;
  std::map<std::string, uint64_t> epochs;
  std::set<std::string> seen;
  for (uint64_t sequence = 1; sequence <= last; ++sequence) {
    natsMsg* message = reader.Get(kStream, sequence);
    if (message == nullptr) {
      ADD_FAILURE() << "message " << sequence << " can't be read";
      break;
    }
    ++contents.messages;
    v1::UsageRecord record;
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        std::string(natsMsg_GetData(message), natsMsg_GetDataLength(message)),
        &record);
    EXPECT_OK(parsed);
    EXPECT_EQ(Header(message, "ce-specversion"), "1.0");
    const std::string id = Header(message, "ce-id");
    if (!record.partial() && !seen.insert(id).second) ++contents.doubled;
    names[record.node_id()] = Header(message, "ce-subject");
    if (Header(message, "Nfmeter-Set-Back") == "true") {
      contents.gaps.push_back("LEDGER_SET_BACK");
    }
    natsMsg_Destroy(message);

    const std::string& node = record.node_id();
    const uint64_t epoch = record.position().epoch();
    const uint64_t before = epochs.try_emplace(node, epoch).first->second;
    for (const v1::UsageCounter& counter : record.counters()) {
      const auto [place, is_new] =
          accounts.try_emplace({node, epoch, counter.id()});
      Account& account = place->second;
      account.name = counter.name();
      account.created = counter.create_time().seconds();
      const auto old = accounts.find({node, before, counter.id()});
      if (is_new && before != epoch && old != accounts.end() &&
          old->second.created == account.created) {
        std::copy_n(old->second.total, 2, account.total);
        std::copy_n(old->second.total, 2, account.base);
      }
    }
    for (int i = 0; i < record.counter_ids_size(); ++i) {
      Account& account = accounts[{node, epoch, record.counter_ids(i)}];
      const int64_t values[] = {static_cast<int64_t>(record.total_packets(i)),
                                static_cast<int64_t>(record.total_bytes(i))};
      for (int k = 0; k < 2; ++k) {
        account.base[k] += std::min<int64_t>(0, values[k] - account.total[k]);
        account.total[k] = values[k];
      }
    }
    for (const v1::UsageGap& gap : record.gaps()) {
      contents.gaps.emplace_back(absl::StripPrefix(
          v1::UsageGapCause_Name(gap.cause()), "USAGE_GAP_CAUSE_"));
    }
    if (!record.partial()) epochs[node] = epoch;
  }
  for (const auto& [key, account] : accounts) {
    auto& [packets, bytes] =
        contents.totals[{names[std::get<0>(key)], account.name}];
    packets += account.total[0] - account.base[0];
    bytes += account.total[1] - account.base[1];
  }
  return contents;
}

}  // namespace nfmeter::testing
