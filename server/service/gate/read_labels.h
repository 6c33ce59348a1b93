// SPDX-License-Identifier: GPL-3.0-or-later
// Labels of requests -> the domain's.
#ifndef NFMETER_SERVICE_GATE_READ_LABELS_H_
#define NFMETER_SERVICE_GATE_READ_LABELS_H_

#include <string>

#include "accounting/common/counter_filter.h"
#include "google/protobuf/map.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

// At most 16, with keys of 1 to 63 of [a-z0-9._/-] and values of up to 255
// bytes. `field` is the path of `map`.
accounting::Labels ReadLabels(
    const google::protobuf::Map<std::string, std::string>& map,
    const std::string& field, FieldErrors& errors);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_READ_LABELS_H_
