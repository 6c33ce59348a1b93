// SPDX-License-Identifier: GPL-3.0-or-later
// Checks that requests of several services share. They put what is wrong into
// a FieldErrors.
#ifndef NFMETER_SERVICE_GATE_REQUEST_CHECKS_H_
#define NFMETER_SERVICE_GATE_REQUEST_CHECKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/map.h"
#include "kernel/patience.h"
#include "nfmeter/v1/counter.pb.h"
#include "service/gate/call.h"
#include "service/gate/field_errors.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"

namespace nfmeter::service {

// Of one counter.
inline constexpr size_t kMaxLabels = 16;
inline constexpr size_t kMaxLabelValueBytes = 255;

// 'name' for sentences, its start only when it is long.
std::string Quoted(absl::string_view text);

// "names[3]"
std::string Indexed(absl::string_view field, size_t index);

// Up to 128 printable ASCII characters.
void CheckRequestId(absl::string_view request_id, FieldErrors& errors);

// At most 255 bytes, and no '[' without its ']'.
void CheckGlob(const std::string& glob, const std::string& field,
               FieldErrors& errors);

// RESOURCE_EXHAUSTED when a batch is larger than `bound`; an empty one is a
// field error.
absl::Status CheckBatchSize(absl::string_view field, size_t size, size_t bound,
                            FieldErrors& errors);

// Objects a page: `page_size`, the default for 0, at most the bound.
size_t ReadPageSize(int32_t page_size, const Limits& limits,
                    FieldErrors& errors);

// A duration that must not be negative.
absl::Duration ReadMaxStaleness(const google::protobuf::Duration& duration,
                                FieldErrors& errors);

// The bytes of a name of the kernel's as the API shows it (see EscapeName).
std::string ReadName(absl::string_view shown, const std::string& field,
                     FieldErrors& errors);

// The kernel's bytes of a counter's name as the API shows it (see
// accounting::ShownName), of our own and of foreign ones.
std::string ReadCounterName(absl::string_view shown, const std::string& field,
                            FieldErrors& errors);

// Which counters are asked for, of those in the caller's scope.
accounting::CounterFilter ReadCounterFilter(
    const v1::CounterFilter& filter, const accounting::CounterScope& scope,
    FieldErrors& errors);

// What a change of rules may wait: until a little before the client's deadline,
// so that it gets our answer, within the server's own bounds, and while the
// client is there.
kernel::Patience RulePatience(const Call& call, const Limits& limits);

// PERMISSION_DENIED, reason COUNTER_NOT_PERMITTED: the caller may touch other
// counters only. Names are the kernel's; whether they exist is not told.
absl::Status CheckScope(const Call& call, absl::Span<const std::string> names);

// The same for the names of `objects`.
template <typename Objects, typename NameOf>
absl::Status CheckScope(const Call& call, const Objects& objects,
                        NameOf name_of) {
  if (call.scope().has_all()) return absl::OkStatus();
  std::vector<std::string> names;
  for (const auto& each : objects) names.push_back(std::invoke(name_of, each));
  return CheckScope(call, names);
}

// Calls `mutate`, by way of the cache unless nothing is to change. An answer is
// kept for the caller who asked only.
template <typename Request, typename Response>
absl::Status Mutate(const Call& call, RequestCache& requests,
                    absl::string_view method, const Request& request,
                    Response* response,
                    absl::FunctionRef<absl::Status()> mutate) {
  if (request.validate_only()) return mutate();
  return requests.Run(absl::StrCat(method, " ", call.caller->principal),
                      request.request_id(), request, response, call.deadline,
                      mutate);
}

// At most 16, with keys of 1 to 63 of [a-z0-9._/-] and values of up to 255
// bytes. `field` is the path of `map`.
accounting::Labels ReadLabels(
    const google::protobuf::Map<std::string, std::string>& map,
    const std::string& field, FieldErrors& errors);

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

#endif  // NFMETER_SERVICE_GATE_REQUEST_CHECKS_H_
