// SPDX-License-Identifier: GPL-3.0-or-later
// Names that come twice in a request.
#ifndef NFMETER_SERVICE_GATE_REPEATS_H_
#define NFMETER_SERVICE_GATE_REPEATS_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "service/gate/field_errors.h"
#include "service/gate/request_checks.h"

namespace nfmeter::service {

// Looks for them in the repeated field `list`. `subfield` is what has the name
// in a member (".name"; empty: the member itself). The names must stay where
// they are; empty ones are left to other checks.
class Repeats {
 public:
  Repeats(absl::string_view list, absl::string_view subfield, size_t size)
      : list_(list), subfield_(subfield) {
    indexes_.reserve(size);
  }

  void Check(absl::string_view name, size_t index, FieldErrors& errors) {
    if (name.empty()) return;
    const auto [first, is_new] = indexes_.emplace(name, index);
    if (is_new) return;
    errors.Add(FieldAt(index), absl::StrCat(Quoted(name), " is the same as ",
                                            FieldAt(first->second)));
  }

 private:
  std::string FieldAt(size_t index) const {
    return absl::StrCat(Indexed(list_, index), subfield_);
  }

  const absl::string_view list_;
  const absl::string_view subfield_;
  absl::flat_hash_map<absl::string_view, size_t> indexes_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_REPEATS_H_
