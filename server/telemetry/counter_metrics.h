// SPDX-License-Identifier: GPL-3.0-or-later
// The counters themselves, as metrics.
#ifndef NFMETER_TELEMETRY_COUNTER_METRICS_H_
#define NFMETER_TELEMETRY_COUNTER_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// The label of nfmeter_counter_info that shows the counters' label `key`:
// "label_ten_ant" of "ten.ant".
std::string InfoLabel(absl::string_view key);

// Totals and quotas of the counters whose name matches, at most `max_counters`
// of them: the first by name, so that those shown are the same at each scrape.
// What scrapes write again and again, names above all, is kept as long as no
// counter comes or goes. Thread-safe.
class CounterMetrics {
 public:
  struct Options {
    std::string name_glob = "*";  // see accounting::GlobMatches(); empty: none
    size_t max_counters = 10'000;
    // Keys of labels that nfmeter_counter_info shows; none: there is no such
    // metric. Each has another InfoLabel().
    std::vector<std::string> label_keys;
    // Readings are shared with all who were served one this recently.
    absl::Duration max_staleness = absl::Seconds(1);
  };

  // Both must outlive this.
  CounterMetrics(accounting::Ledger& ledger,
                 const accounting::LabelStore& labels, const Options& options);

  // Waits for a reading of the counters, when none is recent enough.
  void WriteMetrics(MetricsText& text) const;

 private:
  using Totals = accounting::Ledger::Totals;

  // Which rows of snapshots with these members are shown, and how.
  struct Layout {
    std::vector<std::shared_ptr<const std::vector<uint32_t>>> members;
    std::vector<uint32_t> rows;  // over all chunks, increasing
    std::string labels;          // of all of them
    std::vector<uint32_t> ends;  // of each in `labels`
    uint64_t labels_version = 0;
    std::vector<std::string> info;  // of each, the labels of its info
    size_t left_out = 0;

    absl::string_view LabelsOf(size_t i) const {
      const uint32_t begin = i == 0 ? 0 : ends[i - 1];
      return absl::string_view(labels).substr(begin, ends[i] - begin);
    }
  };

  std::shared_ptr<const Layout> LayoutFor(
      const accounting::Snapshot& snapshot) const;
  std::shared_ptr<const Layout> MakeLayout(const accounting::Snapshot& snapshot,
                                           uint64_t labels_version) const;
  static void WriteTotals(const Totals& totals, const Layout& layout,
                          MetricsText& text);
  static void WriteQuotas(const accounting::Snapshot& snapshot,
                          const Layout& layout, MetricsText& text);

  std::string InfoOf(absl::string_view shown_name,
                     absl::string_view kernel_name) const;

  accounting::Ledger& ledger_;
  const accounting::LabelStore& labels_;
  const Options options_;
  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<const Layout> layout_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_COUNTER_METRICS_H_
