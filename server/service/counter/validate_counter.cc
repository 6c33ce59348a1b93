// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/counter/validate_counter.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/name_escape.h"
#include "base/utf8.h"
#include "service/gate/request_checks.h"

namespace nfmeter::service {
namespace {

constexpr char kNameAlphabet[] = "[A-Za-z0-9._:/@+-]";
constexpr size_t kMaxDescriptionBytes = 1024;

// The message quotes the name, because the index in the field says little to
// the author of a file with thousands of counters.
void CheckNewName(const std::string& name, const std::string& of,
                  FieldErrors& errors) {
  if (accounting::IsCounterName(name)) return;
  const std::string field = absl::StrCat(of, ".name");
  if (name.empty()) {
    errors.Add(field, absl::StrCat("is empty; 1 to ", kernel::kAcctNameMaxBytes,
                                   " of ", kNameAlphabet));
  } else if (name.size() > kernel::kAcctNameMaxBytes) {
    errors.Add(field, absl::StrCat(Quoted(name), " is ", name.size(),
                                   " bytes long; at most ",
                                   kernel::kAcctNameMaxBytes));
  } else if (absl::StartsWith(name, kernel::kAcctOwnPrefix)) {
    errors.Add(field, absl::StrCat(Quoted(name), " begins with '",
                                   kernel::kAcctOwnPrefix,
                                   "', as the server's own objects do"));
  } else {
    // The name may have been copied from where it is shown with escapes. Then
    // the message points at the character that the escape stands for.
    std::string meant = UnescapeName(name).value_or(name);
    if (accounting::IsCounterName(meant)) meant = name;
    const auto bad = std::find_if(meant.begin(), meant.end(), [](char c) {
      return !accounting::IsCounterName(absl::string_view(&c, 1));
    });
    const auto place = static_cast<size_t>(bad - meant.begin());
    const auto rest = absl::string_view(meant).substr(place);
    const size_t size = std::max<size_t>(Utf8CharacterBytes(rest), 1);
    errors.Add(field,
               absl::StrCat("'", EscapeName(meant), "' has '",
                            EscapeName(rest.substr(0, size)), "' at byte ",
                            place, "; allowed are ", kNameAlphabet));
  }
}

std::optional<kernel::QuotaLimit> ReadQuota(const v1::Quota& quota,
                                            const std::string& field,
                                            FieldErrors& errors) {
  using Unit = kernel::QuotaLimit::Unit;
  kernel::QuotaLimit limit;
  switch (quota.limit_case()) {
    case v1::Quota::kPackets:
      limit = {Unit::kPackets, quota.packets()};
      break;
    case v1::Quota::kBytes:
      limit = {Unit::kBytes, quota.bytes()};
      break;
    default:
      errors.Add(field, "has no limit; set packets or bytes, or no quota");
      return std::nullopt;
  }
  if (limit.limit == 0) {
    errors.Add(absl::StrCat(
                   field, limit.unit == Unit::kPackets ? ".packets" : ".bytes"),
               "must be greater than 0");
  }
  return limit;
}

void CheckDescription(const std::string& description, const std::string& field,
                      FieldErrors& errors) {
  if (description.size() <= kMaxDescriptionBytes) return;
  errors.Add(field,
             absl::StrCat("is ", description.size(), " bytes long; at most ",
                          kMaxDescriptionBytes));
}

// Which fields of a counter a request changes.
struct UpdatedFields {
  bool labels = false;
  bool description = false;
  bool quota = false;
};

UpdatedFields ReadMask(const v1::UpdateCounterRequest& request,
                       FieldErrors& errors) {
  const v1::Counter& counter = request.counter();
  UpdatedFields fields;
  for (const std::string& path : request.update_mask().paths()) {
    const bool all = path == "*";
    fields.labels |= all || path == "labels";
    fields.description |= all || path == "description";
    fields.quota |= all || path == "quota";
    if (all || path == "labels" || path == "description" || path == "quota") {
      continue;
    }
    errors.Add("update_mask", absl::StrCat("has ", Quoted(path),
                                           "; what can be changed are labels, "
                                           "description and quota"));
  }
  if (request.update_mask().paths().empty()) {
    fields = {.labels = !counter.labels().empty(),
              .description = !counter.description().empty(),
              .quota = counter.has_quota()};
    if (!fields.labels && !fields.description && !fields.quota) {
      errors.Add("update_mask",
                 "is absent, and counter has neither labels nor description "
                 "nor quota: name what is to be removed");
    }
  }
  return fields;
}

}  // namespace

accounting::CounterUpdate ReadCounterUpdate(
    const v1::UpdateCounterRequest& request, FieldErrors& errors) {
  const v1::Counter& counter = request.counter();
  const UpdatedFields fields = ReadMask(request, errors);
  accounting::CounterUpdate update;
  update.target = {ReadCounterName(counter.name(), "counter.name", errors),
                   counter.etag()};
  update.validate_only = request.validate_only();
  if (fields.labels) {
    update.labels = ReadLabels(counter.labels(), "counter.labels", errors);
  }
  if (fields.description) {
    update.description = counter.description();
    CheckDescription(counter.description(), "counter.description", errors);
  }
  if (fields.quota) {
    update.quota = counter.has_quota()
                       ? ReadQuota(counter.quota(), "counter.quota", errors)
                       : std::nullopt;
  }
  return update;
}

accounting::Counter ReadNewCounter(const v1::Counter& counter,
                                   const std::string& field,
                                   FieldErrors& errors) {
  accounting::Counter read;
  CheckNewName(counter.name(), field, errors);
  read.object.name = counter.name();
  read.object.packets = counter.packets();
  read.object.bytes = counter.bytes();
  if (counter.has_quota()) {
    read.object.quota =
        ReadQuota(counter.quota(), absl::StrCat(field, ".quota"), errors);
  }
  read.labels =
      ReadLabels(counter.labels(), absl::StrCat(field, ".labels"), errors);
  CheckDescription(counter.description(), absl::StrCat(field, ".description"),
                   errors);
  if (!counter.description().empty()) {
    read.labels[accounting::kDescriptionLabel] = counter.description();
  }
  return read;
}

std::vector<accounting::Counter> ReadNewCounters(
    const google::protobuf::RepeatedPtrField<v1::Counter>& counters,
    FieldErrors& errors) {
  std::vector<accounting::Counter> read;
  read.reserve(counters.size());
  Repeats repeats("counters", ".name", counters.size());
  for (int i = 0; i < counters.size(); ++i) {
    read.push_back(ReadNewCounter(counters[i], Indexed("counters", i), errors));
    repeats.Check(counters[i].name(), i, errors);
  }
  return read;
}

std::vector<std::string> ReadCounterNames(
    const google::protobuf::RepeatedPtrField<std::string>& names,
    FieldErrors& errors) {
  std::vector<std::string> read;
  read.reserve(names.size());
  Repeats repeats("names", "", names.size());
  for (int i = 0; i < names.size(); ++i) {
    read.push_back(ReadCounterName(names[i], Indexed("names", i), errors));
    repeats.Check(read.back(), i, errors);
  }
  return read;
}

std::vector<accounting::CounterTarget> ReadCounterTargets(
    const google::protobuf::RepeatedPtrField<std::string>& names,
    FieldErrors& errors) {
  std::vector<accounting::CounterTarget> targets;
  for (std::string& name : ReadCounterNames(names, errors)) {
    targets.push_back({.name = std::move(name)});
  }
  return targets;
}

}  // namespace nfmeter::service
