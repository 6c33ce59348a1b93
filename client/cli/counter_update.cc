// SPDX-License-Identifier: Apache-2.0
// nfmeter counter update
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/counter_commands.h"
#include "cli/errors.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "nfmeter/errors.h"

namespace nfmeter::cli {
namespace {

// Readings of labels that somebody else has changed before ours were.
constexpr int kTries = 5;

struct UpdateFlags {
  NameFlags common;
  Labels labels;
  std::vector<std::string> removed_labels;
  std::string description;
  bool no_description = false;
  QuotaLimit quota;
  bool no_quota = false;

  bool changes_labels() const {
    return !labels.empty() || !removed_labels.empty();
  }
};

// What the flags say, of a counter that has the labels of `before`.
v1::UpdateCounterRequest UpdateRequest(const UpdateFlags& flags,
                                       const v1::Counter& before) {
  v1::UpdateCounterRequest request;
  v1::Counter& counter = *request.mutable_counter();
  const auto change = [&request](const char* field) {
    request.mutable_update_mask()->add_paths(field);
  };
  counter.set_name(before.name());
  counter.set_etag(flags.common.etag);
  if (flags.changes_labels()) {
    change("labels");
    *counter.mutable_labels() = before.labels();
    for (const auto& [key, value] : flags.labels) {
      (*counter.mutable_labels())[key] = value;
    }
    for (const std::string& key : flags.removed_labels) {
      counter.mutable_labels()->erase(key);
    }
    if (counter.etag().empty()) counter.set_etag(before.etag());
  }
  if (!flags.description.empty() || flags.no_description) {
    change("description");
    counter.set_description(flags.description);
  }
  SetQuota(flags.quota, counter);
  if (counter.has_quota() || flags.no_quota) change("quota");
  request.set_validate_only(flags.common.validate_only);
  request.set_request_id(flags.common.request_id);
  return request;
}

// Labels are kept that the flags do not name: they are read, and written only
// if nobody else has changed the counter meanwhile.
absl::StatusOr<v1::UpdateCounterResponse> UpdateOne(Session& session,
                                                    Client& client,
                                                    const UpdateFlags& flags,
                                                    const std::string& name) {
  v1::Counter before;
  before.set_name(name);
  for (int tries = 1;; ++tries) {
    if (flags.changes_labels()) {
      NFM_ASSIGN_OR_RETURN(auto read, client.GetCounter(name, session.call()));
      before = std::move(read);
    }
    auto response =
        client.UpdateCounter(UpdateRequest(flags, before), session.call());
    if (response.ok() || tries == kTries || !flags.common.etag.empty() ||
        !flags.changes_labels() ||
        ErrorReason(response.status()) != "ETAG_MISMATCH") {
      return response;
    }
  }
}

absl::Status CheckFlags(const UpdateFlags& flags) {
  const bool nothing = !flags.changes_labels() && flags.description.empty() &&
                       !flags.no_description && flags.quota.packets.empty() &&
                       flags.quota.bytes.empty() && !flags.no_quota;
  if (nothing) {
    return UsageError("nothing is to be changed",
                      "nfmeter counter update web --quota-bytes 20GiB");
  }
  for (const std::string& key : flags.removed_labels) {
    if (flags.labels.contains(key)) {
      return UsageError(absl::StrCat(
          "'", key,
          "' can be set by --label or removed by --remove-label, not "
          "both"));
    }
  }
  if (IsSingle(flags.common)) return absl::OkStatus();
  if (!flags.common.etag.empty()) {
    return UsageError("--etag belongs to one counter; give one name");
  }
  if (!flags.common.request_id.empty()) {
    return UsageError("--request-id belongs to one change; give one name");
  }
  return absl::OkStatus();
}

absl::Status Update(Session& session, const UpdateFlags& flags) {
  NFM_RETURN_IF_ERROR(CheckFlags(flags));
  auto names = Names(session, flags.common);
  if (!names.ok() || names->empty()) return names.status();
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::BatchGetCountersResponse all;
  v1::UpdateCounterResponse last;
  absl::Status failed;
  for (const std::string& name : *names) {
    auto response = UpdateOne(session, *client, flags, name);
    if (!response.ok()) {
      failed = response.status();
      break;
    }
    *all.add_counters() = response->counter();
    last = *std::move(response);
  }
  const bool single = IsSingle(flags.common);
  if (!failed.ok() && (single || all.counters().empty())) return failed;
  if (session.for_people()) {
    session.console().out << (flags.common.validate_only
                                  ? "Nothing was changed. It would be:\n"
                                  : absl::StrCat(
                                        "Updated ",
                                        CountOf(all.counters_size(), "counter"),
                                        ":\n"));
  }
  if (single) {
    PrintCounters(session, last, all.counters());
  } else {
    PrintCounters(session, all, all.counters());
  }
  if (failed.ok()) return failed;
  const std::string& name = (*names)[all.counters_size()];
  return absl::Status(
      failed.code(),
      absl::StrCat("'", Printable(name), "': ", std::string(failed.message()),
                   "; it and the ", names->size() - all.counters_size() - 1,
                   " after it were not updated"));
}

}  // namespace

void AddCounterUpdate(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "update", "Change quota, labels or description of counters",
      R"(What no flag names stays. The counter goes on counting meanwhile: no packet is
lost, and totals go on. With another quota it is armed again; where nfacct
counts, the rules are moved to a second counter and back for that, which rules
that others made do not allow. A quota stays while rules drop what exceeds it:
without one they would drop all. Several counters are updated one by one.

Examples:
  nfmeter counter update alice --quota-bytes 20GiB
  nfmeter counter update alice --no-quota --description 'paid in advance'
  nfmeter counter update 'host-*' --label rack=r12 --remove-label room)",
      Update);
  AddNames(tree, *command, flags->common);
  AddQuotaLimit(*command, flags->quota);
  command->add_flag("--no-quota", flags->no_quota, "no quota any more")
      ->excludes(command->get_option("--quota-packets"))
      ->excludes(command->get_option("--quota-bytes"));
  AddLabels(*command, flags->labels, "set a label; may be repeated");
  Repeatable(command->add_option("--remove-label", flags->removed_labels,
                                 "remove a label; may be repeated"),
             "KEY");
  CLI::Option* description =
      AddText(*command, "--description", flags->description, "TEXT",
              "what it is, for people")
          ->check([](const std::string& text) {
            return text.empty() ? "it is empty; --no-description takes it away"
                                : "";
          });
  command
      ->add_flag("--no-description", flags->no_description,
                 "no description any more")
      ->excludes(description);
  AddCounterChangeFlags(*command, flags->common);
}

}  // namespace nfmeter::cli
