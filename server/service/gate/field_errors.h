// SPDX-License-Identifier: GPL-3.0-or-later
// Collects what is wrong with a request.
#ifndef NFMETER_SERVICE_GATE_FIELD_ERRORS_H_
#define NFMETER_SERVICE_GATE_FIELD_ERRORS_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"

namespace nfmeter::service {

// All wrong fields of one request, so that the client can mend them at once.
class FieldErrors {
 public:
  void Add(std::string field, std::string description) {
    ++count_;
    if (violations_.size() < kKept) {
      violations_.push_back({std::move(field), std::move(description)});
    }
  }

  bool empty() const { return count_ == 0; }

  // Whether `field` is among those that are kept.
  bool Has(absl::string_view field) const {
    return std::any_of(
        violations_.begin(), violations_.end(),
        [&](const FieldViolation& wrong) { return wrong.field == field; });
  }

  // INVALID_ARGUMENT with what was added; OK when nothing was.
  absl::Status ToStatus() {
    if (count_ > kKept) {
      violations_.push_back(
          {"", absl::StrCat("and ", count_ - kKept, " more wrong fields")});
    }
    return InvalidFields(std::move(violations_));
  }

 private:
  // More than an answer has room for (see ToRpcStatus).
  static constexpr size_t kKept = 64;

  std::vector<FieldViolation> violations_;
  size_t count_ = 0;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_FIELD_ERRORS_H_
