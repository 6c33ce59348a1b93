// SPDX-License-Identifier: Apache-2.0
// What a kind of object shows in which output format: one list of columns for
// table, wide and CSV together.
#ifndef NFMETER_CLI_COLUMNS_H_
#define NFMETER_CLI_COLUMNS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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

// "-" for people where there is nothing.
inline Cell OrDash(absl::string_view text, Layout layout) {
  if (text.empty() && layout != kCsv) return {"-", Style::kFaint};
  return {std::string(text)};
}

// A column of what `get`, a getter of T or a function of one, returns: a text,
// or "-" where it is empty; a number as it is; yes or no.
template <typename T, typename Get>
Column<T> PlainColumn(const char* heading, const char* key, unsigned layouts,
                      Get get, int leave_out = 0) {
  using Value = std::invoke_result_t<Get, const T&>;
  constexpr bool kIsBool = std::is_same_v<Value, bool>;
  constexpr bool kIsNumber = std::is_integral_v<Value> && !kIsBool;
  return {heading,
          key,
          layouts,
          kIsNumber ? Align::kRight : Align::kLeft,
          [get](const T& item, Layout layout) -> Cell {
            const auto& value = std::invoke(get, item);
            if constexpr (kIsBool) {
              if (layout == kCsv) return {value ? "true" : "false"};
              return {value ? "yes" : "no"};
            } else if constexpr (kIsNumber) {
              return {absl::StrCat(value)};
            } else {
              return OrDash(value, layout);
            }
          },
          leave_out};
}

// The same of an amount, with units for people: `text` is CountText or
// BytesText.
template <typename T, typename Get>
Column<T> AmountColumn(const char* heading, const char* key, unsigned layouts,
                       std::string (*text)(uint64_t, Layout), Get get,
                       int leave_out = 0) {
  return {heading,
          key,
          layouts,
          Align::kRight,
          [get, text](const T& item, Layout layout) {
            return text(std::invoke(get, item), layout);
          },
          leave_out};
}

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
