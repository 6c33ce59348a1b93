// SPDX-License-Identifier: GPL-3.0-or-later
// All rows that a statement answers.
#ifndef NFMETER_BASE_SQLITE_ROWS_H_
#define NFMETER_BASE_SQLITE_ROWS_H_

#include <type_traits>

#include "absl/status/status.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::sqlite {

// Calls `visit` for each row from the next one on, while `rows` stands at it.
// `visit` returns nothing or a status; one that is not OK ends it.
template <typename Visit>
absl::Status ForEachRow(Statement& rows, Visit visit) {
  while (true) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    if constexpr (std::is_void_v<std::invoke_result_t<Visit>>) {
      visit();
    } else {
      NFM_RETURN_IF_ERROR(visit());
    }
  }
}

}  // namespace nfmeter::sqlite

#endif  // NFMETER_BASE_SQLITE_ROWS_H_
