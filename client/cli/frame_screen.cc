// SPDX-License-Identifier: Apache-2.0
#include "cli/frame_screen.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/graph.h"
#include "cli/key_reader.h"
#include "cli/quantity.h"

namespace nfmeter::cli {
namespace {

constexpr char kHideCursor[] = "\x1b[?25l";
constexpr char kShowCursor[] = "\x1b[?25h";
constexpr char kClearLine[] = "\x1b[K";
constexpr char kClearBelow[] = "\x1b[J";
constexpr char kClearAll[] = "\x1b[2J\x1b[H";
// The rows of a terminal that are not for counters: what the frame is, the
// headings, their sum, the keys, and the cursor's.
constexpr size_t kOtherLines = 5;
// Of rates: as many as the widest sparkline shows.
constexpr size_t kRememberedFrames = 40;
constexpr size_t kBarWidth = 20;
// Those of the narrowest terminals that have room for graphs of this width.
constexpr size_t kWideColumns = 140;
constexpr size_t kRoomyColumns = 100;

constexpr char kEndOfTransmission = '\x04';  // Ctrl-D

bool IsErasing(char key) { return key == '\x7f' || key == '\b'; }

// All of them as one, called `total`.
RateRow Sum(const std::vector<RateRow>& rows, CounterRow& total) {
  RateRow sum{.row = &total};
  for (const RateRow& row : rows) {
    total.packets += row.row->packets;
    total.bytes += row.row->bytes;
    total.total_packets += row.row->total_packets;
    total.total_bytes += row.row->total_bytes;
    sum.frame = row.frame;
    sum.packets += row.packets;
    sum.bytes += row.bytes;
    sum.packet_rate += row.packet_rate;
    sum.byte_rate += row.byte_rate;
    sum.has_rates = row.has_rates;
  }
  return sum;
}

// Bytes of the ledger's totals, before the notes.
void AddTotals(const std::vector<RateRow>& rows, Table& table) {
  table.headings.insert(table.headings.end() - 1,
                        {"TOTAL", Align::kRight, /*leave_out=*/1});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<Cell>& cells = table.rows[i];
    cells.insert(cells.end() - 1, {FormatBytes(rows[i].row->total_bytes)});
  }
}

}  // namespace

FrameScreen::FrameScreen(Session& session, Options options)
    : session_(session),
      keys_(options.keys),
      options_(std::move(options.frame)) {}

FrameScreen::~FrameScreen() {
  absl::MutexLock lock(&mutex_);
  if (drawn_lines_ > 0) session_.console().out << kShowCursor << std::flush;
}

void FrameScreen::Show(const SnapshotFrame& frame) {
  absl::MutexLock lock(&mutex_);
  Keep(frame);
  RememberRates();
  Redraw();
}

void FrameScreen::StartBelow() {
  absl::MutexLock lock(&mutex_);
  drawn_lines_ = 0;
}

void FrameScreen::Keep(const SnapshotFrame& frame) {
  ++frames_;
  Kept kept{.frame = frame};
  kept.names.reserve(frame.rows.size());
  kept.rows.assign(frame.rows.begin(), frame.rows.end());
  for (CounterRow& row : kept.rows) {
    row.name = kept.names.emplace_back(row.name);
    row.counter = nullptr;
  }
  kept.changed.assign(frame.changed.begin(), frame.changed.end());
  kept.removed.assign(frame.removed.begin(), frame.removed.end());
  kept_ = std::move(kept);
  kept_.frame.rows = kept_.rows;
  kept_.frame.changed = kept_.changed;
  kept_.frame.removed = kept_.removed;
}

void FrameScreen::RememberRates() {
  FrameOptions all;
  for (const RateRow& row : SelectRows(kept_.frame, all)) {
    if (!row.has_rates) continue;
    std::vector<float>& rates = rates_[row.row->name];
    if (rates.size() == kRememberedFrames) rates.erase(rates.begin());
    rates.push_back(static_cast<float>(row.byte_rate));
  }
  for (const std::string& name : kept_.removed) rates_.erase(name);
}

bool FrameScreen::OnKey(char key) {
  absl::MutexLock lock(&mutex_);
  if (typing_) {
    EditFilter(key);
  } else if (!ChangeView(key)) {
    return false;
  }
  if (frames_ > 0) Redraw();
  return true;
}

void FrameScreen::EditFilter(char key) {
  std::string& filter = options_.contains;
  if (key == '\n' || key == '\r') {
    typing_ = false;
  } else if (key == kEscape) {
    typing_ = false;
    filter.clear();
  } else if (IsErasing(key)) {
    if (!filter.empty()) filter.pop_back();
  } else if (key > ' ' && key < '\x7f') {
    filter.push_back(key);
  }
}

bool FrameScreen::ChangeView(char key) {
  switch (key) {
    case 'q':
    case kEndOfTransmission:
      return false;
    case '/':
      typing_ = true;
      options_.contains.clear();
      break;
    case kEscape:
      options_.contains.clear();
      break;
    case 'u':
      options_.bits = !options_.bits;
      break;
    case 'i':
      options_.hide_idle = !options_.hide_idle;
      break;
    default:
      for (const SortOrder& order : kSortOrders) {
        if (order.typed == key) options_.sort = order.key;
      }
  }
  return true;
}

void FrameScreen::AddGraphs(const std::vector<RateRow>& rows, size_t columns,
                            Table& table) const {
  const bool unicode = session_.console().unicode;
  const size_t width = columns >= kWideColumns    ? kRememberedFrames
                       : columns >= kRoomyColumns ? kRememberedFrames / 2
                                                  : kRememberedFrames / 5;
  double largest = 0;
  for (const RateRow& row : rows) {
    largest = std::max(largest, SortValue(row, options_.sort));
  }
  // Before the notes, which are the last column.
  const auto before_notes = [](auto& list) { return list.end() - 1; };
  const bool with_bars = columns >= kRoomyColumns;
  if (with_bars) {
    table.headings.insert(before_notes(table.headings),
                          {"", Align::kLeft, /*leave_out=*/3});
  }
  table.headings.insert(before_notes(table.headings),
                        {"RECENT", Align::kLeft, /*leave_out=*/2});
  for (size_t i = 0; i < table.rows.size(); ++i) {
    std::string bar;
    std::string line;
    if (i < rows.size()) {
      if (largest > 0) {
        bar = Bar(SortValue(rows[i], options_.sort) / largest, kBarWidth,
                  unicode);
      }
      const auto found = rates_.find(rows[i].row->name);
      if (found != rates_.end()) {
        line = Sparkline(found->second, width, unicode);
      }
    }
    auto& cells = table.rows[i];
    if (with_bars) cells.insert(before_notes(cells), {bar, Style::kGood});
    cells.insert(before_notes(cells), {line, Style::kPlain});
  }
}

size_t FrameScreen::CountIdle(size_t shown) const {
  FrameOptions options = options_;
  options.limit = 0;
  options.hide_idle = false;
  return SelectRows(kept_.frame, options).size() - shown;
}

std::string FrameScreen::Foot(const TerminalSize& size, size_t shown) const {
  if (typing_)
    return CutToWidth(absl::StrCat("/", options_.contains, "_"), size.columns);
  std::string foot;
  const size_t hidden = kept_.frame.rows.size() - shown;
  const size_t idle = shown == 0 ? CountIdle(shown) : 0;
  if (idle > 0 && keys_) {
    absl::StrAppend(&foot, idle, " idle, i shows them");
  } else if (hidden > 0) {
    absl::StrAppend(&foot, hidden, " not shown");
  }
  if (!options_.contains.empty()) {
    absl::StrAppend(&foot, foot.empty() ? "" : "  ", "filter '",
                    options_.contains, "'");
  }
  if (keys_) {
    absl::StrAppend(&foot, foot.empty() ? "" : "  ",
                    "q quit  / filter  i idle  u bits  n p b P B sort");
  }
  return CutToWidth(foot, size.columns);
}

std::string FrameScreen::Text(const TerminalSize& size) const {
  FrameOptions options = options_;
  options.limit = 0;
  std::vector<RateRow> rows = SelectRows(kept_.frame, options);
  CounterRow total;
  const std::string total_name = absl::StrCat("total of ", rows.size());
  total.name = total_name;
  const RateRow sum = Sum(rows, total);
  const bool has_total = rows.size() > 1;
  size_t room = size.rows > kOtherLines ? size.rows - kOtherLines : 1;
  if (options_.limit > 0) room = std::min(room, options_.limit);
  if (rows.size() > room) rows.resize(room);
  std::vector<RateRow> shown = rows;
  if (has_total) shown.push_back(sum);
  Table table = FrameTable(shown, session_.layout(), options_.bits);
  if (session_.layout() == Layout::kTable && size.columns >= kRoomyColumns) {
    AddTotals(shown, table);
  }
  AddGraphs(rows, size.columns, table);
  if (has_total) {
    for (Cell& cell : table.rows.back()) cell.style = Style::kHeader;
  }
  std::string text = absl::StrCat(
      Paint(CutToWidth(
                FrameHeader(kept_.frame, rows.size(), absl::LocalTimeZone()),
                size.columns),
            Style::kFaint, session_.color()),
      "\n",
      RenderTable(std::move(table), {.color = session_.color(),
                                     .max_width = size.columns,
                                     .headings = session_.headings()}));
  const std::string foot = Foot(size, rows.size());
  if (!foot.empty()) {
    absl::StrAppend(&text, Paint(foot, Style::kFaint, session_.color()), "\n");
  }
  return text;
}

void FrameScreen::Redraw() {
  const TerminalSize size = session_.console().size();
  const std::string text = Text(size);
  // One write, so that the terminal never shows half a frame.
  std::string screen;
  if (drawn_lines_ == 0) {
    screen = kHideCursor;
  } else if (drawn_size_ == size) {
    screen = absl::StrCat("\x1b[", drawn_lines_, "A\r");
  } else {
    // Nobody knows where a resized terminal has put the old lines.
    screen = kClearAll;
  }
  drawn_size_ = size;
  drawn_lines_ = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&screen, line, kClearLine, "\n");
    ++drawn_lines_;
  }
  absl::StrAppend(&screen, kClearBelow);
  session_.console().out << screen << std::flush;
}

}  // namespace nfmeter::cli
