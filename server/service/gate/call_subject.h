// SPDX-License-Identifier: GPL-3.0-or-later
// What a call is about, for the records of changes and refusals.
#ifndef NFMETER_SERVICE_GATE_CALL_SUBJECT_H_
#define NFMETER_SERVICE_GATE_CALL_SUBJECT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::service {

struct CallSubject {
  std::string request_id;
  bool validate_only = false;
  bool with_rules = false;  // counters are deleted with rules that count
  // The first of the names and ids that the request has.
  std::vector<std::string> targets;
  size_t target_count = 0;

  // Long ones are cut: they are what a client sent, valid or not.
  void AddTarget(absl::string_view target);
};

// "http-traffic in filter/INPUT: ACCEPT": what a new rule does, and with which
// id if the client gives one.
std::string DescribeRule(const v1::Rule& rule);

// Names of counters and plans, ids of rules, what new rules do, and filters of
// flows.
template <typename Request>
CallSubject SubjectOf(const Request& request) {
  CallSubject subject;
  if constexpr (requires { request.validate_only(); }) {
    subject.request_id = request.request_id();
    subject.validate_only = request.validate_only();
  }
  if constexpr (requires { request.delete_managed_rules(); }) {
    subject.with_rules = request.delete_managed_rules();
  }
  if constexpr (requires { request.filter().tcp_states(); }) {
    const std::string filter = request.filter().ShortDebugString();
    subject.AddTarget(filter.empty() ? "all flows" : filter);
  } else if constexpr (requires { request.plan().groups(); }) {
    subject.AddTarget(request.plan().name());
  } else if constexpr (requires { request.counter().name(); }) {
    subject.AddTarget(request.counter().name());
  } else if constexpr (requires { request.counters(); }) {
    for (const auto& each : request.counters()) subject.AddTarget(each.name());
  } else if constexpr (requires { request.rule().counter(); }) {
    subject.AddTarget(DescribeRule(request.rule()));
  } else if constexpr (requires { request.rules(); }) {
    for (const auto& each : request.rules()) {
      subject.AddTarget(DescribeRule(each));
    }
  } else if constexpr (requires { request.name(); }) {
    subject.AddTarget(request.name());
  } else if constexpr (requires { request.names(); }) {
    for (const auto& each : request.names()) subject.AddTarget(each);
  } else if constexpr (requires { request.id(); }) {
    subject.AddTarget(request.id());
  } else if constexpr (requires { request.ids(); }) {
    for (const auto& each : request.ids()) subject.AddTarget(each);
  }
  return subject;
}

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_CALL_SUBJECT_H_
