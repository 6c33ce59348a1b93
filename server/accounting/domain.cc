// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/domain.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "accounting/counters/in_slices.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

absl::StatusOr<std::unique_ptr<Domain>> Domain::Open(kernel::Kernel& kernel,
                                                     Clock& clock,
                                                     const Options& options) {
  // First, as it may have to put a damaged file aside.
  NFM_ASSIGN_OR_RETURN(auto ledger, Ledger::Create(options.ledger, clock));
  NFM_ASSIGN_OR_RETURN(auto labels,
                       LabelStore::Open(options.ledger.path, options.labels,
                                        ledger->awaits_new_file()));
  NFM_ASSIGN_OR_RETURN(auto plans, PlanStore::Open(options.plans_path));
  NFM_ASSIGN_OR_RETURN(auto rules,
                       KeptRules::Open(options.rules_path, options.rule_codec,
                                       kernel.cgroups(), clock));
  NFM_ASSIGN_OR_RETURN(auto managed,
                       ManagedCounters::Open(options.quotas_path, *labels));
  return absl::WrapUnique(new Domain(kernel, clock,
                                     {.labels = std::move(labels),
                                      .ledger = std::move(ledger),
                                      .plans = std::move(plans),
                                      .rules = std::move(rules),
                                      .managed = std::move(managed)},
                                     options));
}

Domain::Domain(kernel::Kernel& kernel, Clock& clock, Stores stores,
               const Options& options)
    : kernel_(kernel),
      labels_(std::move(stores.labels)),
      ledger_(std::move(stores.ledger)),
      managed_(std::move(stores.managed)),
      counter_lane_("nfm-counters", options.lane_capacity),
      rule_lane_("nfm-rules", options.lane_capacity),
      rule_read_lane_("nfm-rule-reads", options.lane_capacity),
      snapshots_(SnapshotHub::Create({.table = kernel.acct(),
                                      .lane = counter_lane_,
                                      .observers = observers_,
                                      .clock = clock},
                                     options.snapshots)),
      quotas_(QuotaHub::Create(kernel.acct(), counter_lane_, clock,
                               options.quotas)),
      flows_(FlowHub::Create(kernel.flows(), clock, options.flows)),
      kept_rules_(std::move(stores.rules)),
      rules_({.kernel = kernel,
              .lane = rule_read_lane_,
              .clock = clock,
              .listings = options.listings}),
      rule_editor_(kernel, rule_lane_),
      rule_keeper_(kernel, rule_lane_),
      counters_({.kernel = kernel,
                 .snapshots = *snapshots_,
                 .labels = *labels_,
                 .ledger = *ledger_,
                 .clock = clock}),
      counter_editor_({.kernel = kernel,
                       .lane = counter_lane_,
                       .counters = counters_,
                       .snapshots = *snapshots_,
                       .labels = *labels_,
                       .rules = rules_,
                       .rule_editor = rule_editor_,
                       .observers = observers_,
                       .clock = clock}),
      plan_store_(std::move(stores.plans)),
      plans_(
          {.rules = kernel.rules(),
           .rule_lane = rule_lane_,
           .counters = counters_,
           .counter_editor = counter_editor_,
           .labels = *labels_,
           .ledger = *ledger_,
           .quotas = *quotas_,
           .store = *plan_store_,
           .rule_keeper = rule_keeper_,
           .kept_rules = *kept_rules_,
           .keep_counters =
               [this](const CounterLook& look) { return KeepCounters(look); },
           .cgroups = kernel.cgroups(),
           .clock = clock,
           .read = options.read_plan},
          options.plans) {
  // The kernel may have short names only for counters that the stores know.
  kernel.KnowCounters(ledger_->Names());
  std::vector<std::string> labelled;
  for (LabelStore::Labelled& each : labels_->All()) {
    labelled.push_back(std::move(each.counter));
  }
  kernel.KnowCounters(labelled);
  if (options.rule_codec.write != nullptr) {
    rule_editor_.SetKeptRules(kept_rules_.get());
  }
  counter_editor_.SetPlanOf(
      [this](absl::string_view counter) { return plans_.PlanOf(counter); });
  observers_.Add(*snapshots_);
  observers_.Add(*quotas_);
  observers_.Add(*ledger_);
  observers_.Add(*managed_);
  for (CounterObserver* observer : options.observers) observers_.Add(*observer);
  labels_->WhenChanged(
      [this](absl::string_view counter) { ledger_->OnLabels(counter); });
  ledger_->WhenBegunAnew([this] { labels_->BeginAnew().IgnoreError(); });
  ledger_->Start(options.ledger_reads ? snapshots_.get() : nullptr,
                 [this](absl::string_view name) { return labels_->Get(name); });
  if (!options.plans.read_only) {
    rule_watch_ = kernel.WatchRuleChanges([this] { plans_.LookSoon(); });
  }
  if (options.on_labels_pruned != nullptr) {
    label_pruner_ = std::make_unique<LabelPruner>(
        kernel.acct(), *snapshots_, *labels_, clock, options.on_labels_pruned);
  }
}

Domain::~Domain() { ledger_->Stop(); }

std::vector<std::string> Domain::UnfedCounters() const {
  std::vector<std::string> names;
  const std::shared_ptr<const Snapshot> snapshot = snapshots_->Latest();
  if (snapshot == nullptr) return names;
  for (const auto& chunk : snapshot->chunks()) {
    for (size_t row = 0; row < chunk->size(); ++row) {
      if (chunk->use_counts[row] > 0) continue;
      const absl::string_view name =
          snapshot->names().KernelName(chunk->ids()[row]);
      // Only those that were made through the server.
      if (labels_->Get(name).contains(kManagedLabel)) names.emplace_back(name);
    }
  }
  return names;
}

std::string Domain::UnfedNotice() const {
  std::vector<std::string> names = UnfedCounters();
  if (names.empty()) return "";
  constexpr size_t kMostNamed = 5;
  const size_t count = names.size();
  names.resize(std::min(count, kMostNamed));
  for (std::string& name : names) name = ShownName(name);
  return absl::StrCat(
      count == 1 ? "One counter has" : absl::StrCat(count, " counters have"),
      " no rule that counts into ",
      count == 1 ? "it: " : "them: ", absl::StrJoin(names, ", "),
      count > kMostNamed ? absl::StrCat(" and ", count - kMostNamed, " more")
                         : "",
      ". Make rules ('nfmeter rule add'), or delete what nobody needs.");
}

absl::StatusOr<std::vector<std::string>> Domain::RestoreCounters() {
  const auto names = managed_->Names();
  if (names->empty()) return std::vector<std::string>();
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                       counters_.Missing(*names, absl::ZeroDuration()));
  return Restore(missing, /*with_values=*/false);
}

absl::StatusOr<std::vector<std::string>> Domain::KeepCounters(
    const CounterLook& look) {
  managed_->Commit().IgnoreError();
  // Read before the names, so that a later change is seen the next time.
  const uint64_t labels = labels_->version();
  const auto names = managed_->Names();
  if (names->empty()) return std::vector<std::string>();
  NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                       snapshots_->Take(look.max_staleness));
  if (kept_.epoch == snapshot->epoch && kept_.labels == labels &&
      snapshot->complete && snapshot->RemovedSince(kept_.sequence).empty()) {
    return std::vector<std::string>();
  }
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                       counters_.Missing(*names, look.max_staleness));
  NFM_ASSIGN_OR_RETURN(std::vector<std::string> restored,
                       Restore(missing, look.with_values));
  if (snapshot->complete) {
    kept_ = {snapshot->epoch, snapshot->sequence, labels};
  }
  return restored;
}

absl::StatusOr<std::vector<std::string>> Domain::Restore(
    const std::vector<std::string>& missing, bool with_values) {
  std::vector<std::string> restored;
  // In slices, so that not all labels are in memory twice.
  const auto restore = [&](absl::Span<const std::string> some) {
    std::vector<Counter> counters;
    for (const std::string& name : some) {
      std::optional<kernel::AcctObject> object = managed_->Wanted(name);
      if (!object.has_value()) continue;
      const auto known = ledger_->Find(name);
      if (with_values && known.has_value()) {
        object->packets = known->value().packets;
        object->bytes = known->value().bytes;
      }
      counters.push_back(
          {.object = *std::move(object), .labels = labels_->Get(name)});
      restored.push_back(name);
    }
    return counters.empty()
               ? absl::OkStatus()
               : counter_editor_
                     .Create(std::move(counters), /*validate_only=*/false)
                     .status();
  };
  NFM_RETURN_IF_ERROR(EachSlice<std::string>(missing, restore));
  return restored;
}

std::vector<std::string> Domain::Notices() {
  std::vector<std::string> notices = kernel_.Notices();
  if (std::string unfed = UnfedNotice(); !unfed.empty()) {
    notices.push_back(std::move(unfed));
  }
  for (std::vector<std::string> more :
       {rule_editor_.Notices(), counter_editor_.Notices()}) {
    for (std::string& notice : more) notices.push_back(std::move(notice));
  }
  return notices;
}

}  // namespace nfmeter::accounting
