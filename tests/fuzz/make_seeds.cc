// SPDX-License-Identifier: GPL-3.0-or-later
// Writes the seeds of the fuzz targets: make_seeds CORPORA SOURCE_TREE
#include <stdio.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/record.h"
#include "google/protobuf/message_lite.h"
#include "kernel/linux/conntrack/flow_codec.h"
#include "kernel/linux/nfacct/acct_codec.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_userdata.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "tests/support/read_file.h"
#include "tests/unit/kernel/flow_messages.h"
#include "tests/unit/kernel/xt_rules.h"

namespace nfmeter {
namespace {

namespace fs = std::filesystem;

class Corpora {
 public:
  explicit Corpora(fs::path root) : root_(std::move(root)) {}

  void Add(const std::string& target, const std::string& bytes) {
    const fs::path folder = root_ / target;
    fs::create_directories(folder);
    std::ofstream(folder / absl::StrCat("seed-", ++count_), std::ios::binary)
        << bytes;
  }

  void Add(const std::string& target,
           const google::protobuf::MessageLite& message) {
    Add(target, message.SerializeAsString());
  }

  size_t count() const { return count_; }

 private:
  const fs::path root_;
  size_t count_ = 0;
};

// Requests have the form of answers.
void AddAcctMessages(Corpora& corpora) {
  std::string all;
  kernel::AcctObject object = {.name = "http-traffic", .packets = 1};
  object.quota = {kernel::QuotaLimit::Unit::kBytes, 1000};
  kernel::AppendAcctCreate(object, 1, all);
  kernel::AppendAcctGet("dns", 2, all);
  kernel::AppendAcctDump(kernel::AcctDumpFilter::kAll, 3, all);
  kernel::AppendAcctGetFeatures(4, all);
  corpora.Add("acct_message", all);
}

// A request, and what the kernel answers.
void AddFlowMessages(Corpora& corpora) {
  std::string dump;
  kernel::AppendFlowDump({.family = kernel::Family::kIpv4,
                          .protocol = 6,
                          .mark = kernel::FlowBits{1, 0xff}},
                         1, dump);
  corpora.Add("flow_message", dump);
  for (const char* message :
       {testing::kUdpFlow, testing::kTcpFlow, testing::kIcmpv6Flow,
        testing::kIcmpDeath, testing::kDumpDone, testing::kInvalid}) {
    corpora.Add("flow_message", absl::HexStringToBytes(message));
  }
  corpora.Add("flow_message",
              absl::HexStringToBytes(absl::StrCat(
                  testing::kTcpFlow, testing::kUdpFlow, testing::kDumpDone)));
}

// The first byte says what follows.
void AddLedgerRecords(Corpora& corpora) {
  const accounting::Record record = {
      .since_reading = absl::Seconds(10),
      .rows = {{1, {1, 100}}, {300, {~uint64_t{0}, 1}}},
      .accounts = {2, 300},
      .gaps = 1};
  corpora.Add("ledger_record", std::string(1, 0) + Encode(record));
  const accounting::Checkpoint checkpoint = {{{5, {1, 2}}, {700, {3, 0}}}};
  corpora.Add("ledger_record", std::string(1, 1) + Encode(checkpoint));
  const accounting::Bucket bucket = {{{5, {10, 20}, {10, 20}}}};
  corpora.Add("ledger_record", std::string(1, 2) + Encode(bucket, true));
  corpora.Add("ledger_record", std::string(1, 3) + Encode(bucket, false));
}

// The same goes for nf_tables.
void AddNftMessages(Corpora& corpora) {
  kernel::NftBatch batch;
  batch.AddTable(0);
  batch.AddCounter("c.http_x2btraffic", 1, 100,
                   kernel::NftComment("http+traffic"));
  batch.AddQuota("c.http_x2btraffic", 1000, 0);
  batch.AddChain("chain", {.priority = -1});
  batch.AddSet({.id = 1, .key_bytes = 2, .elements = {{80, 80}, {90, 99}}});
  batch.AddRule(
      "chain",
      {.expressions = {kernel::NftMeta{15}, kernel::NftCompare{0, "\x02"},
                       kernel::NftPayload{1, 12, 4},
                       kernel::NftBitwise{"\xff\xff\xf0\x01"},
                       kernel::NftOutside{"abcd", "abce"}, kernel::NftCt{0},
                       kernel::NftSocket{3, 1}, kernel::NftFib{3, 1},
                       kernel::NftToNetworkOrder{},
                       kernel::NftLookup{"__set0", 1, true},
                       kernel::NftCounter{1, 2},
                       kernel::NftObject{1, "c.http_x2btraffic"},
                       kernel::NftVerdict{-3, "other"}},
       .userdata = kernel::NftComment("nfmeter:http")},
      1, {});
  corpora.Add("nft_message", batch.Encode(7, /*commit=*/true));
}

void AddEntries(Corpora& corpora) {
  testing::TwoSets sets;
  for (const kernel::Family family :
       {kernel::Family::kIpv4, kernel::Family::kIpv6}) {
    for (const kernel::RuleMatch& match : testing::EveryCondition(family)) {
      const auto entry =
          kernel::EncodeEntry(family, testing::RuleWith(match), sets);
      if (!entry.ok()) continue;
      std::string bytes(1, family == kernel::Family::kIpv4 ? '\0' : '\1');
      bytes.append(entry->begin(), entry->end());
      corpora.Add("xt_entry", bytes);
    }
  }
}

void AddRequests(Corpora& corpora) {
  v1::BatchCreateRulesRequest rules;
  v1::Rule* rule = rules.add_rules();
  rule->set_id("web");
  rule->set_chain("INPUT");
  rule->set_counter("http-traffic");
  v1::RuleMatch* match = rule->mutable_match();
  match->set_protocol("tcp");
  match->set_source("192.0.2.0/24");
  match->add_source_ports()->set_first(80);
  match->add_conntrack_states(v1::CONNTRACK_STATE_NEW);
  match->mutable_mark()->set_value(1);
  match->mutable_ip_set()->set_name("hosts");
  match->mutable_ip_set()->add_directions(v1::IP_SET_DIRECTION_SOURCE);
  match->mutable_tcp_flags()->add_mask(v1::TCP_FLAG_SYN);
  match->set_comment("text");
  corpora.Add("rule_request", rules);

  v1::BatchCreateCountersRequest counters;
  counters.add_counters()->set_name("http-traffic");
  counters.mutable_counters(0)->mutable_quota()->set_bytes(1000);
  (*counters.mutable_counters(0)->mutable_labels())["tenant"] = "a";
  corpora.Add("counter_request", counters);
  corpora.Add("counter_request", "with\\x20space");
  v1::CounterFilter filter;
  filter.set_name_glob("http*[a-z]?");
  (*filter.mutable_labels())["tenant"] = "a";
  corpora.Add("counter_request", filter);
}

void AddChunks(Corpora& corpora) {
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame* frame = response.mutable_frame();
  frame->set_epoch(1);
  frame->set_sequence(2);
  frame->set_complete(true);
  for (uint32_t i = 0; i < 3; ++i) {
    frame->mutable_columns()->add_ids(i);
    frame->mutable_columns()->add_packets(i * 1000);
    frame->mutable_columns()->add_bytes(i * 1'000'000);
  }
  corpora.Add("snapshot_chunk", response);
}

void AddTexts(Corpora& corpora, const fs::path& source) {
  corpora.Add("config_file",
              testing::ReadFile(source / "packaging/nfmeter.yaml"));
  corpora.Add("config_file", "listen: [unix:/a, tcp:[::1]:1]\n");
  // A call with data that is taken back, and one that the server ends.
  const std::string_view frames[] = {
      {"\xc0\0\0\2\1\4\0\0\0\1hp\0\0\5\0\0\0\0\0\1\0\0\0\0\0", 26},
      {"\0\0\4\3\0\0\0\0\1\0\0\0\x08", 13},
      {"\0\0\0\1\5\0\0\0\3\0\0\1\1\5\0\0\0\3p", 19}};
  std::string both;
  for (const std::string_view each : frames) both += each;
  corpora.Add("frames", both);
  corpora.Add("policy", testing::ReadFile(source / "packaging/policy.yaml"));
  corpora.Add("policy", "version: 1\nrules: []\n");
  corpora.Add("policy", "spiffe://example.org/a");
  for (const char* text :
       {"unix:/run/nfmeter/nfmeter.sock", "tcp:0.0.0.0:7443", "[::1]:1",
        "10.0.0.0/8", "2001:db8::/32", "10.0.0.0/255.0.255.0"}) {
    corpora.Add("address", std::string(text));
  }
}

}  // namespace
}  // namespace nfmeter

int main(int argc, char** argv) {
  using namespace nfmeter;  // NOLINT: one function
  if (argc != 3) return 2;
  Corpora corpora(argv[1]);
  AddAcctMessages(corpora);
  AddFlowMessages(corpora);
  AddLedgerRecords(corpora);
  AddNftMessages(corpora);
  AddEntries(corpora);
  AddRequests(corpora);
  AddChunks(corpora);
  AddTexts(corpora, argv[2]);
  printf("%zu seeds\n", corpora.count());
  return 0;
}
