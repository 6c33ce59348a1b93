// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/plan_streams.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/message_bytes.h"
#include "service/plan/plan_message.h"
#include "service/plan/read_plan.h"

namespace nfmeter::service {
namespace {

constexpr char kKind[] = "plans";

}  // namespace

// Sends statuses as they change; of a plan that changes faster than the client
// reads, the newest.
class PlanStream final : public MessageStream {
 public:
  PlanStream(std::string name, WorkThreads& threads)
      : name_(std::move(name)), threads_(threads) {}

  // Returns at once; writes on another thread than the caller's.
  void Tell(const accounting::PlanStatus& status) {
    if (!name_.empty() && status.name != name_) return;
    {
      absl::MutexLock lock(&mutex_);
      waiting_[status.name] = status;
    }
    WakeOn(threads_);
  }

 private:
  std::optional<Message> Next() override {
    v1::WatchPlanStatusResponse response;
    {
      absl::MutexLock lock(&mutex_);
      if (waiting_.empty()) return std::nullopt;
      ToProto(waiting_.begin()->second, response.mutable_status());
      waiting_.erase(waiting_.begin());
    }
    return Message{ToBytes(response)};
  }
  void OnEnded() override {}

  const std::string name_;
  WorkThreads& threads_;
  absl::Mutex mutex_;
  std::map<std::string, accounting::PlanStatus> waiting_
      ABSL_GUARDED_BY(mutex_);
};

PlanStreams::PlanStreams(accounting::Plans& plans, StreamSet& streams)
    : plans_(plans), threads_("nfm-plan-watch", 1), streams_(streams) {
  streams_.AddKind(kKind);
  plans_.AddListener(
      [this](const accounting::PlanStatus& status) { Tell(status); });
}

PlanStreams::~PlanStreams() = default;

void PlanStreams::Tell(const accounting::PlanStatus& status) {
  std::vector<std::shared_ptr<PlanStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(watching_, [&](const std::weak_ptr<PlanStream>& weak) {
      std::shared_ptr<PlanStream> stream = weak.lock();
      if (stream == nullptr) return true;
      streams.push_back(std::move(stream));
      return false;
    });
  }
  for (const auto& stream : streams) stream->Tell(status);
}

absl::Status PlanStreams::Watch(const Call& call,
                                const v1::WatchPlanStatusRequest& request) {
  if (!request.name().empty()) {
    FieldErrors errors;
    CheckStatusName(request.name(), "name", errors);
    NFM_RETURN_IF_ERROR(errors.ToStatus());
    NFM_RETURN_IF_ERROR(plans_.Status(request.name()).status());
  }
  auto stream = std::make_shared<PlanStream>(request.name(), threads_);
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  {
    absl::MutexLock lock(&mutex_);
    watching_.push_back(stream);
  }
  for (const accounting::PlanStatus& status : plans_.Statuses()) {
    stream->Tell(status);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::service
