// SPDX-License-Identifier: GPL-3.0-or-later
// RuleMatch messages, and what stands beside them -> the domain's values.
#ifndef NFMETER_SERVICE_MATCH_READ_MATCH_H_
#define NFMETER_SERVICE_MATCH_READ_MATCH_H_

#include <optional>
#include <string>

#include "kernel/rule_types.h"
#include "nfmeter/v1/rule.pb.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

// Reads each condition by itself and with those that it needs; whether it fits
// family and chain is for validate_rule. `field` is the path of `match`.
kernel::RuleMatch ReadMatch(const v1::RuleMatch& match,
                            const std::string& field, FieldErrors& errors);

// nullopt: unspecified.
std::optional<kernel::Family> ReadFamily(v1::Family family,
                                         const std::string& field,
                                         FieldErrors& errors);

// nullopt: empty.
std::optional<kernel::Table> ReadTable(const std::string& table,
                                       const std::string& field,
                                       FieldErrors& errors);

kernel::RulePlacement ReadPlacement(v1::RulePlacement placement,
                                    const std::string& field,
                                    FieldErrors& errors);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_MATCH_READ_MATCH_H_
