// SPDX-License-Identifier: GPL-3.0-or-later
// The domain's matches -> RuleMatch messages.
#ifndef NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_
#define NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_

#include "kernel/rule_types.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::service {

void ToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto);

v1::Family ToProto(kernel::Family family);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_
