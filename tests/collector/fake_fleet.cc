// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/fake_fleet.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/util/time_util.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"

namespace nfmeter::testing {
namespace {

constexpr uint64_t kPacketBytes = 100;
constexpr int64_t kCreated = 1'700'000'000;

}  // namespace

FakeNode::FakeNode(std::string id, int counters)
    : counters_(counters), id_(std::move(id)) {
  for (int i = 1; i <= counters; ++i) packets_[i] = 0;
  Tick();
}

void FakeNode::Count(int counter, uint64_t packets) {
  absl::MutexLock lock(&mutex_);
  packets_[counter] += packets;
}

void FakeNode::Tick() {
  absl::MutexLock lock(&mutex_);
  v1::UsageRecord& record = records_.emplace_back();
  record.mutable_position()->set_epoch(epoch_);
  record.mutable_position()->set_sequence(records_.size());
  const absl::Time now = absl::Now() + absl::Seconds(clock_ahead_);
  record.mutable_time()->set_seconds(absl::ToUnixSeconds(now));
  record.mutable_time()->set_nanos(static_cast<int32_t>(
      (now - absl::FromUnixSeconds(absl::ToUnixSeconds(now))) /
      absl::Nanoseconds(1)));
  for (const auto& [id, packets] : packets_) {
    const auto before = recorded_.find(id);
    if (before != recorded_.end() && before->second == packets) continue;
    record.add_counter_ids(id);
    record.add_total_packets(packets);
    record.add_total_bytes(packets * kPacketBytes);
  }
  recorded_ = packets_;
  for (Listener* each : listeners_) each->OnRecord();
}

void FakeNode::SetBack(uint64_t sequence, uint64_t epoch) {
  {
    absl::MutexLock lock(&mutex_);
    records_.resize(sequence);
    recorded_.clear();
    for (v1::UsageRecord& record : records_) {
      record.mutable_position()->set_epoch(epoch);
      for (int i = 0; i < record.counter_ids_size(); ++i) {
        recorded_[record.counter_ids(i)] = record.total_packets(i);
      }
    }
    packets_ = recorded_;
    epoch_ = epoch;
    acknowledged_ = 0;
  }
  Tick();
}

void FakeNode::SetId(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  id_ = id;
}

void FakeNode::SetClockAhead(int64_t seconds) {
  absl::MutexLock lock(&mutex_);
  clock_ahead_ = seconds;
}

void FakeNode::SetSilent(bool silent) {
  absl::MutexLock lock(&mutex_);
  silent_ = silent;
  for (Listener* each : listeners_) each->OnRecord();
}

uint64_t FakeNode::total(int counter) const {
  absl::MutexLock lock(&mutex_);
  return packets_.at(counter);
}
uint64_t FakeNode::sequence() const {
  absl::MutexLock lock(&mutex_);
  return records_.size();
}
uint64_t FakeNode::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}
size_t FakeNode::most_unacknowledged() const {
  absl::MutexLock lock(&mutex_);
  return most_unacknowledged_;
}
int FakeNode::introductions() const {
  absl::MutexLock lock(&mutex_);
  return introductions_;
}

v1::Node FakeNode::Introduce() {
  absl::MutexLock lock(&mutex_);
  ++introductions_;
  v1::Node node;
  node.mutable_ledger()->set_node_id(id_);
  return node;
}

int FakeNode::streams() const {
  absl::MutexLock lock(&mutex_);
  return streams_;
}
bool FakeNode::silent() const {
  absl::MutexLock lock(&mutex_);
  return silent_;
}

void FakeNode::Add(Listener* listener) {
  absl::MutexLock lock(&mutex_);
  ++streams_;
  listeners_.push_back(listener);
}

void FakeNode::Remove(Listener* listener) {
  absl::MutexLock lock(&mutex_);
  listeners_.erase(std::remove(listeners_.begin(), listeners_.end(), listener),
                   listeners_.end());
}

v1::UsageRecord FakeNode::Describe(const v1::UsageRecord& record,
                                   std::set<uint64_t>& described) const {
  v1::UsageRecord sent = record;
  sent.set_node_id(id_);
  for (const uint64_t id : record.counter_ids()) {
    if (!described.insert(id).second) continue;
    v1::UsageCounter& counter = *sent.add_counters();
    counter.set_id(id);
    counter.set_name(absl::StrCat("c", id));
    counter.set_generation(1);
    counter.set_state(v1::USAGE_COUNTER_STATE_LIVE);
    counter.mutable_create_time()->set_seconds(kCreated);
    (*counter.mutable_labels())["tenant"] = id % 2 == 0 ? "blue" : "red";
  }
  return sent;
}

bool FakeNode::Next(const v1::UsagePosition* position,
                    std::set<uint64_t>& described,
                    v1::UsageRecord* record) const {
  absl::MutexLock lock(&mutex_);
  if (silent_) return false;
  if (position != nullptr) {
    if (position->sequence() >= records_.size()) return false;
    *record = Describe(records_[position->sequence()], described);
    return true;
  }
  v1::UsageRecord full = records_.back();
  full.set_full(true);
  full.clear_counter_ids();
  full.clear_total_packets();
  full.clear_total_bytes();
  for (const auto& [id, packets] : recorded_) {
    full.add_counter_ids(id);
    full.add_total_packets(packets);
    full.add_total_bytes(packets * kPacketBytes);
  }
  *record = Describe(full, described);
  return true;
}

grpc::Status FakeNode::CheckPosition(const v1::UsagePosition& position) const {
  absl::MutexLock lock(&mutex_);
  // As nfmeterd says it: ErrorInfo of domain nfmeter, in google.rpc.Status.
  const auto error = [](grpc::StatusCode code, const std::string& reason) {
    const auto field = [](int number, const std::string& bytes) {
      return absl::StrCat(std::string(1, static_cast<char>(number << 3 | 2)),
                          std::string(1, static_cast<char>(bytes.size())),
                          bytes);
    };
    const std::string info = field(1, reason) + field(2, "nfmeter");
    const std::string any =
        field(1, "type.googleapis.com/google.rpc.ErrorInfo") + field(2, info);
    const std::string status =
        absl::StrCat("\x08", std::string(1, static_cast<char>(code)),
                     field(2, reason), field(3, any));
    return grpc::Status(code, reason, status);
  };
  if (position.epoch() != epoch_) {
    return error(grpc::StatusCode::FAILED_PRECONDITION,
                 "POSITION_OF_ANOTHER_EPOCH");
  }
  if (position.sequence() > records_.size()) {
    return error(grpc::StatusCode::OUT_OF_RANGE, "POSITION_AHEAD");
  }
  if (position.has_time() && position.sequence() > 0) {
    using ::google::protobuf::util::TimeUtil;
    const v1::UsageRecord& kept = records_[position.sequence() - 1];
    if (TimeUtil::TimestampToMicroseconds(kept.time()) !=
        TimeUtil::TimestampToMicroseconds(position.time())) {
      return error(grpc::StatusCode::FAILED_PRECONDITION,
                   "POSITION_OF_ANOTHER_EPOCH");
    }
  }
  return grpc::Status::OK;
}

void FakeNode::Acknowledge(const v1::UsagePosition& position) {
  absl::MutexLock lock(&mutex_);
  if (position.epoch() == epoch_) {
    acknowledged_ = std::max(acknowledged_, position.sequence());
  }
}

void FakeNode::NoteUnacknowledged(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  most_unacknowledged_ = std::max(most_unacknowledged_, bytes);
}

namespace {

// One stream: a read and a write are under way at most. It sends while credit
// lasts; ends when it was cancelled or its position refused.
class Stream final : public grpc::ServerBidiReactor<v1::CollectUsageRequest,
                                                    v1::CollectUsageResponse>,
                     public FakeNode::Listener {
 public:
  explicit Stream(FakeNode* node) : node_(node) {
    if (node_ == nullptr) {
      Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no such node"));
      return;
    }
    node_->Add(this);
    StartRead(&request_);
  }

  void OnRecord() override { Wake(); }

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::OK);
    grpc::Status refused;
    {
      absl::MutexLock lock(&mutex_);
      if (request_.has_start()) {
        started_ = true;
        credit_ = request_.start().max_unacknowledged_bytes();
        if (request_.start().has_resume_after()) {
          position_ = request_.start().resume_after();
          refused = node_->CheckPosition(*position_);
        }
      } else {
        const uint64_t sequence = request_.acknowledged().sequence();
        node_->Acknowledge(request_.acknowledged());
        while (!sent_.empty() && sent_.front().first <= sequence) {
          unacknowledged_ -= sent_.front().second;
          sent_.pop_front();
        }
      }
    }
    if (!refused.ok()) return End(refused);
    StartRead(&request_);
    Send();
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    if (ok) Send();
  }

  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnDone() override {
    if (node_ != nullptr) node_->Remove(this);
    delete this;
  }

 private:
  // The node holds its lock: send from a thread of gRPC's own.
  void Wake() {
    absl::MutexLock lock(&end_mutex_);
    if (ended_) return;
    if (waking_) {
      again_ = true;
      return;
    }
    waking_ = true;
    alarm_.Set(std::chrono::system_clock::now(), [this](bool) { OnAlarm(); });
  }

  // Nothing finishes this, which would end it, before its last line.
  void OnAlarm() {
    for (;;) {
      Send();
      absl::MutexLock lock(&end_mutex_);
      if (std::exchange(again_, false) && !ended_) continue;
      waking_ = false;
      if (!ended_) return;
      break;
    }
    Finish(status_);
  }

  void Send() {
    absl::MutexLock lock(&mutex_);
    if (!started_ || writing_) return;
    if (!sent_.empty() && unacknowledged_ >= credit_) return;
    if (!node_->Next(position_.has_value() ? &*position_ : nullptr, described_,
                     response_.mutable_record())) {
      return;
    }
    const size_t bytes = response_.ByteSizeLong();
    node_->NoteUnacknowledged(unacknowledged_ + bytes);
    absl::MutexLock inner(&end_mutex_);
    if (ended_) return;
    position_ = response_.record().position();
    sent_.emplace_back(position_->sequence(), bytes);
    unacknowledged_ += bytes;
    writing_ = true;
    StartWrite(&response_);
  }

  void End(const grpc::Status& status) {
    {
      absl::MutexLock lock(&end_mutex_);
      if (std::exchange(ended_, true)) return;
      status_ = status;
      if (waking_) return;
    }
    Finish(status_);
  }

  FakeNode* const node_;
  v1::CollectUsageRequest request_;
  v1::CollectUsageResponse response_;
  grpc::Alarm alarm_;
  // Order: mutex_, the node's, end_mutex_.
  absl::Mutex mutex_;
  bool started_ = false;
  bool writing_ = false;
  size_t credit_ = 0;
  size_t unacknowledged_ = 0;
  std::deque<std::pair<uint64_t, size_t>> sent_;  // sequences and bytes
  absl::Mutex end_mutex_;
  bool waking_ = false;  // the alarm will call, or is just calling
  bool again_ = false;   // something has come since it began
  bool ended_ = false;
  grpc::Status status_;
  std::optional<v1::UsagePosition> position_;
  std::set<uint64_t> described_;
};

}  // namespace

class FakeFleet::UsageService final : public v1::UsageService::CallbackService {
 public:
  explicit UsageService(FakeFleet& fleet) : fleet_(fleet) {}

  grpc::ServerBidiReactor<v1::CollectUsageRequest, v1::CollectUsageResponse>*
  CollectUsage(grpc::CallbackServerContext* context) override {
    return new Stream(fleet_.Find(context->ExperimentalGetAuthority()));
  }

 private:
  FakeFleet& fleet_;
};

class FakeFleet::NodeService final : public v1::NodeService::CallbackService {
 public:
  explicit NodeService(FakeFleet& fleet) : fleet_(fleet) {}

  grpc::ServerUnaryReactor* GetNode(grpc::CallbackServerContext* context,
                                    const v1::GetNodeRequest* /*request*/,
                                    v1::GetNodeResponse* response) override {
    FakeNode* node = fleet_.Find(context->ExperimentalGetAuthority());
    if (node != nullptr) *response->mutable_node() = node->Introduce();
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  FakeFleet& fleet_;
};

FakeNode* FakeFleet::Find(grpc::string_ref authority) const {
  const auto found =
      by_authority_.find(std::string(authority.data(), authority.size()));
  return found == by_authority_.end() ? nullptr : found->second;
}

FakeFleet::FakeFleet(int nodes, int counters, std::string prefix)
    : FakeFleet(nodes, counters, std::move(prefix), nullptr) {}

FakeFleet::FakeFleet(int nodes, int counters, Certificates* certificates)
    : FakeFleet(nodes, counters, "127.1.", certificates) {}

FakeFleet::FakeFleet(int nodes, int counters, std::string prefix,
                     Certificates* certificates)
    : prefix_(std::move(prefix)),
      certificates_(certificates),
      usage_service_(std::make_unique<UsageService>(*this)),
      node_service_(std::make_unique<NodeService>(*this)) {
  for (int i = 0; i < nodes; ++i) {
    nodes_.push_back(
        std::make_unique<FakeNode>(absl::StrCat("id-", i), counters));
  }
  grpc::ServerBuilder builder;
  std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::InsecureServerCredentials();
  if (certificates != nullptr) {
    certificates->Issue("fleet", {.alternative_names = "DNS:*.fleet.test"});
    certificates->Issue("collector");
    credentials = certificates->ForServer("fleet");
  }
  builder.AddListeningPort("0.0.0.0:0", credentials, &port_);
  builder.RegisterService(usage_service_.get());
  builder.RegisterService(node_service_.get());
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  server_ = builder.BuildAndStart();
  for (int i = 0; i < nodes; ++i) {
    by_authority_[certificates == nullptr ? address(i) : HostOf(i)] =
        nodes_[i].get();
  }
}

FakeFleet::~FakeFleet() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

std::string FakeFleet::address(int i) const {
  return absl::StrCat(prefix_, i / 250, ".", 1 + i % 250, ":", port_);
}

std::string FakeFleet::NameOf(int i) { return absl::StrCat("n", i); }

std::string FakeFleet::HostOf(int i) {
  return absl::StrCat(NameOf(i), ".fleet.test");
}

std::string FakeFleet::Targets() const {
  std::string yaml =
      certificates_ == nullptr
          ? "defaults: {insecure: true}\n"
          : absl::StrCat("defaults: {ca: ", certificates_->Certificate("ca"),
                         ", cert: ", certificates_->Certificate("collector"),
                         ", key: ", certificates_->Key("collector"), "}\n");
  absl::StrAppend(&yaml, "targets:\n");
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    absl::StrAppend(&yaml, "  - {name: ", NameOf(i), ", address: \"",
                    address(i), "\"");
    if (certificates_ != nullptr) {
      absl::StrAppend(&yaml, ", server_name: ", HostOf(i));
    }
    absl::StrAppend(&yaml, "}\n");
  }
  return yaml;
}

uint64_t FakeFleet::Total() const {
  uint64_t total = 0;
  for (const auto& node : nodes_) {
    for (int i = 1; i <= node->counters(); ++i) total += node->total(i);
  }
  return total;
}

}  // namespace nfmeter::testing
