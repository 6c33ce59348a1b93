// SPDX-License-Identifier: GPL-3.0-or-later
// Tables of accounting objects, in memory and real ones, for the suites that
// all must pass.
#ifndef NFMETER_TESTS_CONFORMANCE_ACCT_TABLE_FIXTURE_H_
#define NFMETER_TESTS_CONFORMANCE_ACCT_TABLE_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/nftables/nft_acct_table.h"
#include "kernel/linux/nftables/nft_table.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/conformance/nft_traffic.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {

// A table, and what happens to it from outside.
class World {
 public:
  virtual ~World() = default;
  virtual AcctTable& table() = 0;
  virtual void AddReference(const std::string& name) = 0;
  virtual void RemoveReference(const std::string& name) = 0;
  // Packets of testing::kUdpPacketBytes each; the object must be referenced.
  virtual void Count(const std::string& name, int packets) = 0;
  // Quotas of packets, and values of a crossing that are those of its moment;
  // without them there are only bytes, and values of when it was read.
  virtual bool has_packet_quotas() const { return true; }
};

class FakeWorld : public World {
 public:
  explicit FakeWorld(const AcctFeatures& features) {
    table_.SetFeatures(features);
  }
  AcctTable& table() override { return table_; }
  void AddReference(const std::string& name) override {
    ASSERT_OK(table_.AddReference(name));
  }
  void RemoveReference(const std::string& name) override {
    table_.RemoveReference(name);
  }
  void Count(const std::string& name, int packets) override {
    for (int i = 0; i < packets; ++i) {
      ASSERT_OK(table_.Count(name, 1, testing::kUdpPacketBytes));
    }
  }

 private:
  FakeAcctTable table_;
};

class NfacctWorld : public World {
 public:
  NfacctWorld() : table_(NetlinkAcctTable::Open().value()) {}
  ~NfacctWorld() override {
    for (const auto& [name, port] : ports_) {
      testing::CountPort("-D", port, NfacctName(name));
    }
    std::vector<std::string> names;
    (void)table_->Dump(AcctDumpFilter::kAll,
                       [&](absl::Span<const AcctRecord> records) {
                         for (const AcctRecord& record : records) {
                           names.emplace_back(record.name);
                         }
                       });
    table_->Delete(names);
  }
  AcctTable& table() override { return *table_; }
  void AddReference(const std::string& name) override {
    ports_[name] = next_port_++;
    testing::CountPort("-A", ports_[name], NfacctName(name));
  }
  void RemoveReference(const std::string& name) override {
    testing::CountPort("-D", ports_[name], NfacctName(name));
    ports_.erase(name);
  }
  void Count(const std::string& name, int packets) override {
    testing::SendUdp(ports_.at(name), packets);
  }

 private:
  const std::unique_ptr<NetlinkAcctTable> table_;
  std::map<std::string, uint16_t> ports_;
  uint16_t next_port_ = 20000;
};

// nf_tables. The world goes with the table, which its process owns.
class NftWorld : public World {
 public:
  NftWorld() : nft_(NftTable::Open().value()), table_(*nft_) {
    EXPECT_OK(table_.Probe());
  }
  ~NftWorld() override {
    NftBatch batch = nft_->NewBatch();
    batch.DeleteTable();
    EXPECT_OK(nft_->Commit(batch));
  }
  AcctTable& table() override { return table_; }
  void AddReference(const std::string& name) override {
    ports_[name] = next_port_++;
    testing::NftCountPort(*nft_, ports_[name], name,
                          table_.Get(name)->quota.has_value());
  }
  void RemoveReference(const std::string& name) override {
    testing::NftForgetPort(*nft_, ports_[name]);
    ports_.erase(name);
  }
  void Count(const std::string& name, int packets) override {
    testing::SendUdp(ports_.at(name), packets);
  }
  bool has_packet_quotas() const override { return false; }

 private:
  const std::unique_ptr<NftTable> nft_;
  NftAcctTable table_;
  std::map<std::string, uint16_t> ports_;
  uint16_t next_port_ = 20000;
};

inline std::unique_ptr<World> MakeWorld(const std::string& kind) {
  if (kind == "Nfacct") return std::make_unique<NfacctWorld>();
  if (kind == "Nftables") return std::make_unique<NftWorld>();
  return std::make_unique<FakeWorld>(
      AcctFeatures{.stable_dump = kind == "ExtendedFake",
                   .replace = kind == "ExtendedFake"});
}

class AcctTableTest : public ::testing::TestWithParam<std::string> {
 protected:
  AcctTableTest() : world_(MakeWorld(GetParam())) {}

  AcctTable& table() { return world_->table(); }

  // A limit that the given number of packets of ours reaches.
  QuotaLimit QuotaOf(uint64_t packets) {
    return world_->has_packet_quotas()
               ? QuotaLimit{QuotaLimit::Unit::kPackets, packets}
               : QuotaLimit{QuotaLimit::Unit::kBytes,
                            packets * testing::kUdpPacketBytes};
  }
  // What an event says of a counter with this quota that crossed it at its
  // limit, and had counted so many packets when it was read.
  ::testing::Matcher<AcctObject> CrossingOf(const std::string& name,
                                            uint64_t limit, uint64_t read) {
    const uint64_t packets = world_->has_packet_quotas() ? limit : read;
    return ::testing::Eq(AcctObject{.name = name,
                                    .packets = packets,
                                    .bytes = packets * testing::kUdpPacketBytes,
                                    .quota = QuotaOf(limit),
                                    .quota_exceeded = true,
                                    .use_count = 1});
  }

  absl::Status CreateOne(const AcctObject& object) {
    return table().Create({object}).front();
  }
  absl::Status CreateNamed(const std::string& name) {
    return CreateOne(AcctObject{.name = name});
  }
  absl::Status DeleteOne(const std::string& name) {
    return table().Delete({name}).front();
  }
  absl::StatusOr<AcctObject> ResetOne(const std::string& name) {
    return table().GetAndReset({name}).front();
  }

  // Keeps what the last walk has handed out.
  class Records : public AcctReader {
   public:
    void OnBegin() override { objects.clear(); }
    void OnRecords(absl::Span<const AcctRecord> records) override {
      for (const AcctRecord& record : records) {
        objects.push_back({.name = std::string(record.name),
                           .packets = record.packets,
                           .bytes = record.bytes,
                           .quota = record.quota,
                           .quota_exceeded = record.quota_exceeded,
                           .use_count = record.use_count});
      }
    }
    std::vector<AcctObject> objects;
  };
  absl::StatusOr<AcctDumpOutcome> DumpTo(
      Records& records, AcctDumpFilter filter = AcctDumpFilter::kAll,
      bool verified = true) {
    if (verified) return table().DumpVerified(filter, records);
    return table().Dump(filter, [&](absl::Span<const AcctRecord> group) {
      records.OnRecords(group);
    });
  }

  // All records of a dump that must be complete.
  std::vector<AcctObject> Dump(AcctDumpFilter filter = AcctDumpFilter::kAll,
                               bool verified = true) {
    Records records;
    const absl::StatusOr<AcctDumpOutcome> outcome =
        DumpTo(records, filter, verified);
    const std::vector<AcctObject>& objects = records.objects;
    EXPECT_OK(outcome);
    if (outcome.ok()) {
      EXPECT_TRUE(outcome->complete);
      EXPECT_EQ(outcome->records, objects.size());
    }
    return objects;
  }

  const std::unique_ptr<World> world_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_TESTS_CONFORMANCE_ACCT_TABLE_FIXTURE_H_
