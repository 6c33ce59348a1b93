// SPDX-License-Identifier: Apache-2.0
// Rows and columns as aligned text and as CSV.
#ifndef NFMETER_CLI_TABLE_H_
#define NFMETER_CLI_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::cli {

// What a cell means; how that looks is the business of Render.
enum class Style { kPlain, kHeader, kFaint, kGood, kWarning };

enum class Align { kLeft, kRight };

struct Cell {
  // NOLINTBEGIN(google-explicit-constructor): a text is a plain cell.
  Cell(std::string shown = "", Style look = Style::kPlain)
      : text(std::move(shown)), style(look) {}
  Cell(const char* shown, Style look = Style::kPlain)
      : Cell(std::string(shown), look) {}
  // NOLINTEND(google-explicit-constructor)

  std::string text;
  Style style;
};

struct Heading {
  std::string text;
  Align align = Align::kLeft;
  // Where lines are too long the column of the lowest number goes first. 0: it
  // stays, and the longest text is cut for it.
  int leave_out = 0;
};

struct Table {
  std::vector<Heading> headings;
  std::vector<std::vector<Cell>> rows;  // each as long as headings
};

struct RenderOptions {
  bool color = false;
  // Columns that a line may take. Longer text is cut and ends in '>'; numbers
  // that do not fit whole are left out. 0: any.
  size_t max_width = 0;
  // What is too long in the last column goes on below, word by word; where next
  // to no room is left beside the others all of it is on lines of its own.
  bool wrap = false;
  bool headings = true;
  // A last line names the columns that were left out.
  bool tell = false;
};

// Lines with a heading above and two spaces between columns. Control
// characters are shown as \xHH, so that nothing in a name or comment can
// command the terminal.
std::string RenderTable(Table table, const RenderOptions& options);

// RFC 4180, with line feeds; heading included unless `with_heading` is false.
std::string RenderCsv(const Table& table, bool with_heading = true);

// `text` between the escape sequences of the style.
std::string Paint(absl::string_view text, Style style, bool color);

// Columns that `text` takes on a terminal: characters, not bytes.
size_t DisplayWidth(absl::string_view text);

// `text` with control characters as \xHH.
std::string Printable(absl::string_view text);

// Words of `text` on lines of `width` columns, all but the first indented.
std::string Wrap(absl::string_view text, size_t indent, size_t width);

// The first `width` characters.
std::string CutToWidth(absl::string_view text, size_t width);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_TABLE_H_
