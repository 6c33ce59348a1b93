// SPDX-License-Identifier: Apache-2.0
// What a kind of object shows in which output format: one list of columns for
// table, wide and CSV together.
#ifndef NFMETER_CLI_COLUMNS_H_
#define NFMETER_CLI_COLUMNS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "cli/quantity.h"
#include "cli/table.h"

namespace nfmeter::cli {

// table | wide | csv.
enum Layout : unsigned { kTable = 1, kWide = 2, kCsv = 4 };
inline constexpr unsigned kText = kTable | kWide;
inline constexpr unsigned kDetailed = kWide | kCsv;
inline constexpr unsigned kAll = kTable | kWide | kCsv;

// A number for people, or as it is.
inline std::string CountText(uint64_t count, Layout layout) {
  return layout == kTable ? FormatCount(count) : absl::StrCat(count);
}
inline std::string BytesText(uint64_t bytes, Layout layout) {
  return layout == kTable ? FormatBytes(bytes) : absl::StrCat(bytes);
}

template <typename T>
struct Column {
  std::string heading;  // of table and wide
  std::string key;      // of csv; never changes, since scripts use it
  unsigned layouts;     // those that show it, or-ed
  Align align = Align::kLeft;
  // `layout` is the one being made: kTable is for people (units), the others
  // want plain numbers.
  std::function<Cell(const T& item, Layout layout)> cell;
  int leave_out = 0;  // see Heading
};

template <typename T, typename Items>
Table MakeTable(absl::Span<const Column<T>> columns, const Items& items,
                Layout layout) {
  Table table;
  std::vector<const Column<T>*> shown;
  for (const Column<T>& column : columns) {
    if ((column.layouts & layout) == 0) continue;
    shown.push_back(&column);
    table.headings.push_back({layout == kCsv ? column.key : column.heading,
                              column.align, column.leave_out});
  }
  for (const T& item : items) {
    std::vector<Cell>& row = table.rows.emplace_back();
    for (const Column<T>* column : shown) {
      row.push_back(column->cell(item, layout));
    }
  }
  return table;
}

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COLUMNS_H_
