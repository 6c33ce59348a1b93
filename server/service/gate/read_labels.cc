// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/read_labels.h"

#include "absl/strings/str_cat.h"
#include "accounting/common/counter_filter.h"
#include "service/gate/request_checks.h"

namespace nfmeter::service {

accounting::Labels ReadLabels(
    const google::protobuf::Map<std::string, std::string>& map,
    const std::string& field, FieldErrors& errors) {
  if (map.empty()) return {};
  accounting::Labels labels(map.begin(), map.end());
  if (labels.size() > kMaxLabels) {
    errors.Add(field, absl::StrCat("has ", labels.size(), " labels; at most ",
                                   kMaxLabels));
    return labels;
  }
  for (const auto& [key, value] : labels) {
    const std::string path = absl::StrCat(field, "[", Quoted(key), "]");
    if (!accounting::IsLabelKey(key)) {
      errors.Add(path, absl::StrCat("the key must be 1 to ",
                                    accounting::kMaxLabelKeyBytes,
                                    " of [a-z0-9._/-]"));
    }
    if (value.size() > kMaxLabelValueBytes) {
      errors.Add(path,
                 absl::StrCat("the value is ", value.size(),
                              " bytes long; at most ", kMaxLabelValueBytes));
    }
  }
  return labels;
}

}  // namespace nfmeter::service
