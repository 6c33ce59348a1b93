// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/counter_metrics.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_filter.h"

namespace nfmeter::telemetry {
namespace {

using accounting::Snapshot;
using accounting::SnapshotChunk;
using Type = MetricsText::Type;

bool HasMembers(
    const Snapshot& snapshot,
    const std::vector<std::shared_ptr<const std::vector<uint32_t>>>& members) {
  return std::equal(snapshot.chunks().begin(), snapshot.chunks().end(),
                    members.begin(), members.end(),
                    [](const auto& chunk, const auto& chunk_members) {
                      return chunk->members == chunk_members;
                    });
}

}  // namespace

std::string InfoLabel(absl::string_view key) {
  std::string name = absl::StrCat("label_", key);
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

CounterMetrics::CounterMetrics(accounting::Ledger& ledger,
                               const accounting::LabelStore& labels,
                               const Options& options)
    : ledger_(ledger), labels_(labels), options_(options) {}

void CounterMetrics::WriteMetrics(MetricsText& text) const {
  const auto totals = ledger_.Take(options_.max_staleness);
  text.Gauge("nfmeter_counters_readable",
             "Whether the counters could be read for this scrape.",
             totals.ok());
  text.Counter("nfmeter_foreign_resets_total",
               "Times that a counter was found to have gone back, as another "
               "program had reset it.",
               ledger_.status().foreign_resets);
  if (!totals.ok()) return;
  const Snapshot& snapshot = *(*totals)->snapshot;
  const std::shared_ptr<const Layout> layout = LayoutFor(snapshot);
  text.Gauge("nfmeter_counters", "Counters in the kernel.", snapshot.size());
  text.Gauge("nfmeter_counters_left_out",
             "Counters that match metrics.counters and are not shown here, as "
             "they are more than metrics.max_counters.",
             layout->left_out);
  WriteTotals(**totals, *layout, text);
  WriteQuotas(snapshot, *layout, text);
  if (options_.label_keys.empty()) return;
  text.Family("nfmeter_counter_info", Type::kGauge,
              "1; its labels are those of the counter that metrics.labels "
              "names.");
  for (const std::string& info : layout->info) {
    text.AddRendered(info, uint64_t{1});
  }
}

// A label that the counter lacks is left out.
std::string CounterMetrics::InfoOf(absl::string_view shown_name,
                                   absl::string_view kernel_name) const {
  const accounting::Labels of_counter = labels_.Get(kernel_name);
  std::vector<std::pair<std::string, absl::string_view>> labels = {
      {"counter", shown_name}};
  for (const std::string& key : options_.label_keys) {
    const auto found = of_counter.find(key);
    if (found == of_counter.end()) continue;
    labels.emplace_back(InfoLabel(key), found->second);
  }
  std::vector<MetricsText::Label> rendered(labels.begin(), labels.end());
  return MetricsText::RenderLabels(rendered);
}

std::shared_ptr<const CounterMetrics::Layout> CounterMetrics::LayoutFor(
    const accounting::Snapshot& snapshot) const {
  const uint64_t labels = options_.label_keys.empty() ? 0 : labels_.version();
  absl::MutexLock lock(&mutex_);
  if (layout_ == nullptr || layout_->labels_version != labels ||
      !HasMembers(snapshot, layout_->members)) {
    layout_ = MakeLayout(snapshot, labels);
  }
  return layout_;
}

std::shared_ptr<const CounterMetrics::Layout> CounterMetrics::MakeLayout(
    const Snapshot& snapshot, uint64_t labels_version) const {
  struct Candidate {
    absl::string_view name;
    uint32_t row;
    uint32_t id;
  };
  auto layout = std::make_shared<Layout>();
  layout->labels_version = labels_version;
  std::vector<Candidate> candidates;
  uint32_t row = 0;
  for (const auto& chunk : snapshot.chunks()) {
    layout->members.push_back(chunk->members);
    for (const uint32_t id : chunk->ids()) {
      const absl::string_view name = snapshot.names().Shown(id);
      // An empty glob shows no counters here, but GlobMatches() takes it for
      // any.
      if (options_.name_glob == "*" ||
          (!options_.name_glob.empty() &&
           accounting::GlobMatches(options_.name_glob, std::string(name)))) {
        candidates.push_back({name, row, id});
      }
      ++row;
    }
  }
  if (candidates.size() > options_.max_counters) {
    layout->left_out = candidates.size() - options_.max_counters;
    std::nth_element(
        candidates.begin(), candidates.begin() + options_.max_counters,
        candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.name < b.name; });
    candidates.resize(options_.max_counters);
    std::sort(
        candidates.begin(), candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.row < b.row; });
  }
  for (const Candidate& candidate : candidates) {
    layout->rows.push_back(candidate.row);
    layout->labels.append(
        MetricsText::RenderLabels({{"counter", candidate.name}}));
    layout->ends.push_back(layout->labels.size());
    if (!options_.label_keys.empty()) {
      layout->info.push_back(
          InfoOf(candidate.name, snapshot.names().KernelName(candidate.id)));
    }
  }
  return layout;
}

void CounterMetrics::WriteTotals(const Totals& totals, const Layout& layout,
                                 MetricsText& text) {
  text.Family("nfmeter_counter_packets_total", Type::kCounter,
              "Packets counted, resets notwithstanding.");
  for (size_t i = 0; i < layout.rows.size(); ++i) {
    text.AddRendered(layout.LabelsOf(i),
                     totals.amounts[layout.rows[i]].packets);
  }
  text.Family("nfmeter_counter_bytes_total", Type::kCounter,
              "Bytes counted, resets notwithstanding.");
  for (size_t i = 0; i < layout.rows.size(); ++i) {
    text.AddRendered(layout.LabelsOf(i), totals.amounts[layout.rows[i]].bytes);
  }
}

void CounterMetrics::WriteQuotas(const Snapshot& snapshot, const Layout& layout,
                                 MetricsText& text) {
  using Unit = kernel::QuotaLimit::Unit;
  struct Shown {
    absl::string_view labels;
    const SnapshotChunk::QuotaRow* quota;
  };
  std::vector<Shown> shown;
  uint32_t chunk_begin = 0;
  for (const auto& chunk : snapshot.chunks()) {
    for (const SnapshotChunk::QuotaRow& quota : chunk->quotas) {
      const uint32_t row = chunk_begin + quota.row;
      const auto found =
          std::lower_bound(layout.rows.begin(), layout.rows.end(), row);
      if (found == layout.rows.end() || *found != row) continue;
      shown.push_back({layout.LabelsOf(found - layout.rows.begin()), &quota});
    }
    chunk_begin += chunk->size();
  }
  text.Family("nfmeter_quota_packets", Type::kGauge,
              "Quota of counters that have one in packets.");
  for (const auto& [labels, quota] : shown) {
    if (quota->limit.unit != Unit::kPackets) continue;
    text.AddRendered(labels, quota->limit.limit);
  }
  text.Family("nfmeter_quota_bytes", Type::kGauge,
              "Quota of counters that have one in bytes.");
  for (const auto& [labels, quota] : shown) {
    if (quota->limit.unit != Unit::kBytes) continue;
    text.AddRendered(labels, quota->limit.limit);
  }
  text.Family("nfmeter_quota_exceeded", Type::kGauge,
              "Whether a counter has reached its quota since its last reset.");
  for (const auto& [labels, quota] : shown) {
    text.AddRendered(labels, uint64_t{quota->exceeded});
  }
}

}  // namespace nfmeter::telemetry
