// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace nfmeter::cli {
namespace {

constexpr absl::string_view kGap = "  ";
// Columns below which wrapped text is no longer readable.
constexpr size_t kLeastWrapped = 20;
// How far it is indented where it goes on lines of its own.
constexpr size_t kBelow = 4;
// The same of text that is cut, at the end of a line and elsewhere, and by how
// much it is at a time.
constexpr size_t kLeastLast = 16;
constexpr size_t kLeastCut = 8;
constexpr size_t kCut = 4;

absl::string_view Escape(Style style) {
  switch (style) {
    case Style::kHeader:
      return "\x1b[1m";
    case Style::kFaint:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kWarning:
      return "\x1b[1;31m";
    case Style::kPlain:
      break;
  }
  return "";
}

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// One line. Blanks at its end are left out.
class Line {
 public:
  Line(const std::vector<size_t>& widths, const std::vector<Heading>& headings,
       const RenderOptions& options)
      : widths_(widths), headings_(headings), options_(options) {}

  std::string Render(const std::vector<Cell>& cells) {
    std::string line;
    size_t column = 0;  // where the next character goes
    std::string blanks;
    bool is_full = false;
    for (size_t i = 0; i < cells.size() && !is_full; ++i) {
      std::string text = Printable(cells[i].text);
      const size_t width = DisplayWidth(text);
      const size_t padding = widths_[i] - std::min(widths_[i], width);
      if (headings_[i].align == Align::kRight) blanks.append(padding, ' ');
      const size_t start = column + blanks.size();
      const bool wraps = options_.wrap && i + 1 == cells.size();
      if (wraps && start + kLeastWrapped <= options_.max_width) {
        text = Wrap(text, start, options_.max_width - start);
      } else if (wraps && start + width > options_.max_width &&
                 options_.max_width > 2 * kBelow) {
        // No room beside the other columns: below them.
        blanks = absl::StrCat("\n", std::string(kBelow, ' '));
        text = Wrap(text, kBelow, options_.max_width - kBelow);
      } else if (options_.max_width > 0 && start + width > options_.max_width) {
        // A column of numbers that does not fit whole is left out: a part of a
        // number is another one. So is all that would come after.
        if (headings_[i].align == Align::kRight ||
            start >= options_.max_width) {
          break;
        }
        text =
            absl::StrCat(CutToWidth(text, options_.max_width - start - 1), ">");
        is_full = true;
      }
      if (!text.empty()) {
        absl::StrAppend(&line, blanks,
                        Paint(text, cells[i].style, options_.color));
        column = start + DisplayWidth(text);
        blanks.clear();
      }
      if (headings_[i].align == Align::kLeft) blanks.append(padding, ' ');
      blanks.append(kGap.data(), kGap.size());
    }
    return line;
  }

 private:
  const std::vector<size_t>& widths_;
  const std::vector<Heading>& headings_;
  const RenderOptions& options_;
};

std::vector<size_t> Widths(const Table& table) {
  std::vector<size_t> widths;
  for (const Heading& heading : table.headings) {
    widths.push_back(DisplayWidth(heading.text));
  }
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(Printable(row[i].text)));
    }
  }
  return widths;
}

// What columns count for in a line's width. A last column of text is cut
// anyway: at most `least_last`.
std::vector<size_t> CountedWidths(const Table& table, size_t least_last) {
  std::vector<size_t> widths = Widths(table);
  // A bar, which has no heading, is whole or left out: a part would mislead.
  const bool is_bar = least_last > 0 && table.headings.back().text.empty();
  if (widths.size() > 1 && table.headings.back().align == Align::kLeft &&
      !is_bar) {
    widths.back() = std::min(widths.back(), least_last);
  }
  return widths;
}

size_t LineWidth(const std::vector<size_t>& widths) {
  size_t width = 0;
  for (const size_t each : widths) {
    if (each > 0) width += each + (width > 0 ? kGap.size() : 0);
  }
  return width;
}

void RemoveColumn(size_t index, Table& table) {
  const auto at = static_cast<ptrdiff_t>(index);
  table.headings.erase(table.headings.begin() + at);
  for (std::vector<Cell>& row : table.rows) row.erase(row.begin() + at);
}

// The column to leave out next; the number of columns: none may be.
size_t NextToLeaveOut(const Table& table) {
  size_t found = table.headings.size();
  for (size_t i = 0; i < table.headings.size(); ++i) {
    const int order = table.headings[i].leave_out;
    if (order > 0 && (found == table.headings.size() ||
                      order < table.headings[found].leave_out)) {
      found = i;
    }
  }
  return found;
}

// The widest column of text, by the widths that count.
size_t WidestText(const Table& table, const std::vector<size_t>& widths) {
  size_t found = widths.size();
  for (size_t i = 0; i < widths.size(); ++i) {
    if (table.headings[i].align == Align::kLeft &&
        (found == widths.size() || widths[i] > widths[found])) {
      found = i;
    }
  }
  return found;
}

void CutColumn(size_t index, size_t width, Table& table) {
  const auto cut = [width](std::string& text) {
    const std::string shown = Printable(text);
    if (DisplayWidth(shown) > width) {
      text = absl::StrCat(CutToWidth(shown, width - 1), ">");
    }
  };
  cut(table.headings[index].text);
  for (std::vector<Cell>& row : table.rows) cut(row[index].text);
}

// Leaves columns out, then cuts the widest text, until lines are at most
// `width` long.
void Fit(const RenderOptions& options, Table& table) {
  const size_t width = options.max_width;
  // In lists the last column matters; on screens that are redrawn it is a note.
  const size_t least_last = options.tell ? kLeastLast : 0;
  while (LineWidth(CountedWidths(table, least_last)) > width) {
    const size_t out = NextToLeaveOut(table);
    if (out == table.headings.size()) break;
    RemoveColumn(out, table);
  }
  while (true) {
    const std::vector<size_t> widths = CountedWidths(table, least_last);
    const size_t line = LineWidth(widths);
    if (line <= width) return;
    const size_t widest = WidestText(table, widths);
    // Two long columns give in turns.
    const size_t step = std::min(line - width, kCut);
    if (widest == widths.size() || widths[widest] < kLeastCut + step) return;
    CutColumn(widest, widths[widest] - step, table);
  }
}

// The headings of `all` that are not in `shown`, which has them in their order.
std::string LeftOut(const std::vector<Heading>& all,
                    const std::vector<Heading>& shown) {
  std::string names;
  auto next = shown.begin();
  for (const Heading& heading : all) {
    if (next != shown.end() && next->leave_out == heading.leave_out) {
      ++next;
    } else if (!heading.text.empty()) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", heading.text);
    }
  }
  return names;
}

std::string CsvField(absl::string_view raw) {
  const std::string text = Printable(raw);
  if (text.find_first_of(",\"") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    const auto next =
        static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\0');
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      // U+0080 to U+009F; the terminal's CSI is one of them.
      absl::StrAppendFormat(&result, "\\x%02x\\x%02x", byte, next);
      ++i;
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&result, "\\x%02x", byte);
    } else {
      result.push_back(c);
    }
  }
  return result;
}

size_t DisplayWidth(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

std::string CutToWidth(absl::string_view text, size_t width) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (IsContinuation(text[end])) continue;
    if (width == 0) break;
    --width;
  }
  return std::string(text.substr(0, end));
}

std::string Wrap(absl::string_view text, size_t indent, size_t width) {
  std::string wrapped;
  size_t column = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    const size_t length = DisplayWidth(word);
    if (column > 0 && column + 1 + length > width) {
      absl::StrAppend(&wrapped, "\n", std::string(indent, ' '));
      column = 0;
    } else if (column > 0) {
      wrapped.push_back(' ');
      ++column;
    }
    absl::StrAppend(&wrapped, word);
    column += length;
  }
  return wrapped;
}

std::string Paint(absl::string_view text, Style style, bool color) {
  const absl::string_view escape = Escape(style);
  if (!color || escape.empty() || text.empty()) return std::string(text);
  return absl::StrCat(escape, text, "\x1b[0m");
}

std::string RenderTable(Table table, const RenderOptions& options) {
  const std::vector<Heading> all = table.headings;
  if (options.max_width > 0) Fit(options, table);
  const std::string left_out = LeftOut(all, table.headings);
  std::vector<Cell> headings;
  for (const Heading& heading : table.headings) {
    headings.push_back({heading.text, Style::kHeader});
  }
  const std::vector<size_t> widths = Widths(table);
  Line line(widths, table.headings, options);
  std::string text;
  if (options.headings) absl::StrAppend(&text, line.Render(headings), "\n");
  for (const std::vector<Cell>& row : table.rows) {
    absl::StrAppend(&text, line.Render(row), "\n");
  }
  if (options.tell && !left_out.empty()) {
    absl::StrAppend(&text,
                    Paint(Wrap(absl::StrCat("-o wide shows ", left_out),
                               /*indent=*/0, options.max_width),
                          Style::kFaint, options.color),
                    "\n");
  }
  return text;
}

std::string RenderCsv(const Table& table, bool with_heading) {
  std::string text;
  const auto append = [&text](size_t index, absl::string_view field) {
    absl::StrAppend(&text, index > 0 ? "," : "", CsvField(field));
  };
  if (with_heading) {
    for (size_t i = 0; i < table.headings.size(); ++i) {
      append(i, table.headings[i].text);
    }
    text.push_back('\n');
  }
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) append(i, row[i].text);
    text.push_back('\n');
  }
  return text;
}

}  // namespace nfmeter::cli
