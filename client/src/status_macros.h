// SPDX-License-Identifier: Apache-2.0
// Early return on errors, for functions that return absl::Status or
// absl::StatusOr.
#ifndef NFMETER_CLIENT_SRC_STATUS_MACROS_H_
#define NFMETER_CLIENT_SRC_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define NFM_STATUS_CONCAT_INNER(a, b) a##b
#define NFM_STATUS_CONCAT(a, b) NFM_STATUS_CONCAT_INNER(a, b)

// Returns the status of `expr` from this function unless it is OK.
#define NFM_RETURN_IF_ERROR(expr)                             \
  do {                                                        \
    if (absl::Status nfm_status = (expr); !nfm_status.ok()) { \
      return nfm_status;                                      \
    }                                                         \
  } while (false)

// Assigns the value of `expr`, a StatusOr, to `lhs`, or returns its status.
#define NFM_ASSIGN_OR_RETURN(lhs, expr) \
  NFM_ASSIGN_OR_RETURN_INNER(NFM_STATUS_CONCAT(nfm_or_, __LINE__), lhs, expr)
#define NFM_ASSIGN_OR_RETURN_INNER(result, lhs, expr)  \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = std::move(result).value()

#endif  // NFMETER_CLIENT_SRC_STATUS_MACROS_H_
