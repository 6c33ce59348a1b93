// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/file_plans.h"

#include <pthread.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "base/text_file.h"
#include "proto/yaml/yaml_places.h"
#include "service/plan/read_plan.h"
#include "telemetry/log.h"

namespace nfmeter::service {
namespace {

using telemetry::Log;
using telemetry::LogLevel;

using Texts = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<Texts> ReadTexts(const std::string& path) {
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                       FindPlanFiles(path));
  Texts texts;
  for (const std::string& each : paths) {
    NFM_ASSIGN_OR_RETURN(std::string text, ReadTextFile(each));
    texts.emplace_back(each, std::move(text));
  }
  return texts;
}

uint64_t HashOf(const Texts& texts) {
  StableHash hash;
  for (const auto& [path, text] : texts) hash.Add(path).Add(text);
  return hash.value();
}

std::vector<PlanFile> Parse(const Texts& texts) {
  std::vector<PlanFile> files;
  files.reserve(texts.size());
  for (const auto& [path, text] : texts) {
    files.push_back(ReadPlanFile(path, text, PlanNameOf(path)));
  }
  FindPlansThereTwice(files);
  return files;
}

// Adds what `status` says of a plan, with the places in the plan's file.
void AddLines(const absl::Status& status, const PlanFile& file,
              std::vector<std::string>& lines) {
  const std::vector<FieldViolation> violations =
      GetErrorDetails(status).violations;
  if (violations.empty()) {
    lines.push_back(absl::StrCat(file.path, ": ", status.message()));
    return;
  }
  const YamlPlaces places(file.text, file.path);
  for (const FieldViolation& each : violations) {
    lines.push_back(absl::StrCat(places.Of(each.field), ": ", each.field,
                                 each.field.empty() ? "" : ": ",
                                 each.description));
  }
}

// The plan in the domain's form, or what is wrong with its fields.
absl::StatusOr<accounting::Plan> ReadFile(const PlanFile& file) {
  FieldErrors errors;
  accounting::Plan plan = ReadPlan(file.plan, "", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  return plan;
}

}  // namespace

std::vector<absl::StatusOr<accounting::Plan>> ReadPlansOf(
    const std::string& path) {
  const absl::StatusOr<Texts> texts = ReadTexts(path);
  if (absl::IsNotFound(texts.status())) return {};  // an empty folder
  if (!texts.ok()) return {texts.status()};
  std::vector<absl::StatusOr<accounting::Plan>> plans;
  for (const PlanFile& file : Parse(*texts)) {
    std::vector<std::string> wrong = file.wrong;
    absl::StatusOr<accounting::Plan> plan = ReadFile(file);
    if (wrong.empty()) {
      const absl::Status status =
          plan.ok() ? accounting::ExpandPlan(*plan).status() : plan.status();
      if (!status.ok()) AddLines(status, file, wrong);
    }
    if (!wrong.empty()) {
      plan = absl::InvalidArgumentError(absl::StrJoin(wrong, "\n"));
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

absl::Status CheckPlanFiles(const std::string& path) {
  std::vector<std::string> wrong;
  for (const auto& plan : ReadPlansOf(path)) {
    if (!plan.ok()) wrong.emplace_back(plan.status().message());
  }
  return wrong.empty() ? absl::OkStatus()
                       : absl::InvalidArgumentError(absl::StrJoin(wrong, "\n"));
}

FilePlans::FilePlans(Options options, accounting::Plans& plans, Clock& clock)
    : options_(std::move(options)),
      owner_(absl::StrCat("file:", options_.path)),
      plans_(plans),
      clock_(clock),
      alarm_(clock.NewAlarm()) {}

FilePlans::~FilePlans() { Stop(); }

void FilePlans::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void FilePlans::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  alarm_->Ring();
  if (thread_.joinable()) thread_.join();
}

std::string FilePlans::Problem() const {
  absl::MutexLock lock(&mutex_);
  return problem_;
}

uint64_t FilePlans::rounds() const {
  absl::MutexLock lock(&mutex_);
  return rounds_;
}

bool FilePlans::stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void FilePlans::Loop() {
  pthread_setname_np(pthread_self(), "nfm-plan-files");
  // Files are taken once they stay as they are for a round, so that none is
  // read while it is written. Those that are there at the start are taken at
  // once.
  if (const auto texts = ReadTexts(options_.path); texts.ok()) {
    seen_ = HashOf(*texts);
  }
  while (!stopping()) {
    const absl::Duration next = clock_.BootTime() + options_.interval;
    Look();
    while (!stopping() && clock_.BootTime() < next) alarm_->WaitUntil(next);
  }
}

void FilePlans::Look() {
  const absl::StatusOr<Texts> texts = ReadTexts(options_.path);
  if (!texts.ok()) {
    seen_ = tried_ = 0;
    // An empty folder is no fault as long as no plan has come from it.
    if (absl::IsNotFound(texts.status()) && !OwnsPlans()) return Report({});
    return Report({std::string(texts.status().message())});
  }
  const uint64_t hash = HashOf(*texts);
  if (std::exchange(seen_, hash) != hash) return;
  if (hash == tried_ && clock_.BootTime() < next_try_ && AreInForce()) return;
  if (hash != tried_) pause_ = absl::ZeroDuration();
  tried_ = hash;
  const std::vector<std::string> wrong = Take(*texts);
  pause_ = wrong.empty() ? absl::ZeroDuration()
                         : std::clamp(2 * pause_, options_.first_pause,
                                      options_.longest_pause);
  next_try_ =
      wrong.empty() ? absl::InfiniteDuration() : clock_.BootTime() + pause_;
  if (stopping()) return;
  Report(wrong);
}

bool FilePlans::OwnsPlans() const {
  const std::vector<accounting::PlanInfo> plans = plans_.List();
  return std::any_of(plans.begin(), plans.end(),
                     [this](const auto& plan) { return plan.owner == owner_; });
}

// Others may delete them, or apply another plan in their place.
bool FilePlans::AreInForce() const {
  return std::all_of(etags_.begin(), etags_.end(), [this](const auto& each) {
    const auto status = plans_.Status(each.first);
    return status.ok() && status->etag == each.second;
  });
}

std::vector<std::string> FilePlans::Take(const Texts& texts) {
  const std::map<std::string, std::string> before = plans_.PlansByCounter();
  const absl::Time from = clock_.WallTime();
  std::vector<std::string> wrong;
  std::vector<Blocked> blocked;
  etags_.clear();
  const std::vector<PlanFile> files = Parse(texts);
  for (const PlanFile& file : files) {
    wrong.insert(wrong.end(), file.wrong.begin(), file.wrong.end());
    if (!file.wrong.empty()) continue;
    const absl::Status status = Apply(file);
    if (!InTheWay(status).empty()) {
      blocked.push_back({&file, status});
    } else if (!status.ok()) {
      AddLines(status, file, wrong);
    }
  }
  // A file that was renamed, or whose counters went to another.
  while (Unblock(blocked, /*replace=*/false) ||
         (wrong.empty() && Unblock(blocked, /*replace=*/true))) {
  }
  for (const Blocked& each : blocked) AddLines(each.why, *each.file, wrong);
  plans_.NoteMoved(before, from);
  // A file that is wrong may be that of any plan, so none is removed meanwhile.
  if (wrong.empty()) {
    if (const absl::Status status = RemoveOthers(); !status.ok()) {
      wrong.push_back(absl::StrCat(options_.path, ": ", status.message()));
    }
  }
  return wrong;
}

bool FilePlans::Unblock(std::vector<Blocked>& blocked, bool replace) {
  bool taken = false;
  for (auto each = blocked.begin(); each != blocked.end();) {
    std::vector<std::string> replaces;
    std::string other = replace ? InTheWay(each->why) : "";
    do {
      if (!other.empty()) replaces.push_back(other);
      each->why = Apply(*each->file, replaces);
      other = replace ? InTheWay(each->why) : "";
    } while (!other.empty());
    if (!each->why.ok()) {
      ++each;
      continue;
    }
    taken = true;
    each = blocked.erase(each);
    if (replace) break;
  }
  return taken;
}

std::string FilePlans::InTheWay(const absl::Status& why) const {
  const ErrorDetails details = GetErrorDetails(why);
  if (details.reason != "COUNTER_OF_OTHER_PLAN") return "";
  const auto name = details.metadata.find("plan");
  if (name == details.metadata.end() || etags_.contains(name->second)) {
    return "";
  }
  const auto other = plans_.Get(name->second);
  return other.ok() && other->owner == owner_ ? name->second : "";
}

absl::Status FilePlans::Apply(const PlanFile& file,
                              std::vector<std::string> replaces) {
  NFM_ASSIGN_OR_RETURN(accounting::Plan plan, ReadFile(file));
  const std::string name = plan.name;
  const std::string source = PlanSource(file.plan);
  const auto before = plans_.Get(name);
  if (before.ok() && before->owner == owner_ && before->source == source) {
    etags_[name] = before->etag;
    return absl::OkStatus();
  }
  const absl::StatusOr<accounting::PlanOutcome> outcome =
      plans_.Apply({.plan = std::move(plan), .source = source, .owner = owner_},
                   {.replaces = replaces, .patience = Patience()});
  Audit("nfmeter.v1.PlanService/ApplyPlan", name, outcome.status());
  NFM_RETURN_IF_ERROR(outcome.status());
  etags_[name] = outcome->plan.etag;
  Log(LogLevel::kInfo, "plan taken from file",
      {{"plan", name},
       {"file", file.path},
       {"changes", outcome->changes.size()},
       {"commits", outcome->commits}});
  for (const std::string& each : replaces) {
    Log(LogLevel::kInfo, "plan removed, as another has its counters now",
        {{"plan", each}, {"by", name}, {"path", options_.path}});
  }
  return absl::OkStatus();
}

// Plans of this path whose file has gone.
absl::Status FilePlans::RemoveOthers() {
  for (const accounting::PlanInfo& info : plans_.List()) {
    if (info.owner != owner_ || etags_.contains(info.name)) continue;
    const auto removal = plans_.Delete(
        info.name,
        {.owner = owner_, .keep_counters = true, .patience = Patience()});
    Audit("nfmeter.v1.PlanService/DeletePlan", info.name, removal.status());
    NFM_RETURN_IF_ERROR(removal.status());
    Log(LogLevel::kInfo, "plan removed, as no file has it any more",
        {{"plan", info.name}, {"path", options_.path}});
  }
  return absl::OkStatus();
}

void FilePlans::Report(const std::vector<std::string>& wrong) {
  const std::string problem = absl::StrJoin(wrong, "\n");
  {
    absl::MutexLock lock(&mutex_);
    ++rounds_;
    if (problem == problem_) return;
    problem_ = problem;
  }
  for (const std::string& line : wrong) {
    Log(LogLevel::kError, "plan refused, the one of before stays",
        {{"error", line}});
  }
  if (wrong.empty()) {
    Log(LogLevel::kInfo, "plans are as their files again",
        {{"path", options_.path}});
  }
}

void FilePlans::Audit(absl::string_view method, const std::string& plan,
                      const absl::Status& status) const {
  if (options_.audit == nullptr) return;
  options_.audit({.method = method,
                  .mutates = true,
                  .principal = owner_,
                  .targets = {plan},
                  .target_count = 1,
                  .status = status});
}

kernel::Patience FilePlans::Patience() const {
  return {SystemClock().BootTime() + options_.lock_timeout,
          [this] { return stopping(); }};
}

}  // namespace nfmeter::service
