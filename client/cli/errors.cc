// SPDX-License-Identifier: Apache-2.0
#include "cli/errors.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/api_words.h"
#include "cli/table.h"
#include "nfmeter/errors.h"

namespace nfmeter::cli {
namespace {

// Our own hints travel beside the SDK's.
constexpr char kHintPayload[] = "nfmeter.cli/hint";

// What helps in this program; the server speaks of its methods.
struct ReasonHint {
  absl::string_view reason;
  absl::string_view hint;
};
constexpr ReasonHint kHints[] = {
    {"COUNTER_NOT_FOUND", "'nfmeter counter list' shows those that exist"},
    {"COUNTER_IN_USE",
     "'nfmeter counter delete --with-rules' deletes nfmeter's own rules first"},
    {"QUOTA_OF_CAPS", "'nfmeter rule delete ID' deletes one"},
    {"ETAG_MISMATCH", "'nfmeter counter get NAME -o json' shows the etag now"},
    {"RULE_NOT_FOUND", "'nfmeter rule list' shows those that exist"},
    {"PLAN_NOT_FOUND", "'nfmeter plan list' shows those that are in force"},
    {"PLAN_OF_OTHERS", "'--take-over' makes it yours"},
    {"PLAN_EMPTY", "'--allow-empty' says that this is meant"},
    {"NFACCT_UNAVAILABLE", "'nfmeter node' shows what the server lacks"},
    {"NFTABLES_UNAVAILABLE", "'nfmeter node' shows what the server lacks"},
    {"TABLE_UNAVAILABLE", "'nfmeter node' shows what the server lacks"},
    {"MATCH_UNAVAILABLE", "'nfmeter node' shows what the server lacks"},
    {"TARGET_UNAVAILABLE",
     "leave out --counting-form, and the rule counts by what the kernel has"},
    {"BATCH_TOO_LARGE", "'nfmeter node -o wide' shows the server's bounds"},
};

// Whether a rule of nfmeter's holds the counter, as far as the error tells.
bool IsHeldByOurs(const absl::Status& in_use) {
  const auto metadata = ErrorMetadata(in_use);
  const auto rules = metadata.find("rules");
  if (rules == metadata.end()) return true;
  const std::vector<std::string> ids =
      absl::StrSplit(rules->second, ',', absl::SkipEmpty());
  return absl::c_any_of(
      ids, [](const std::string& id) { return id.front() != '~'; });
}

std::string Hint(const absl::Status& status) {
  if (const auto hint = status.GetPayload(kHintPayload)) {
    return std::string(*hint);
  }
  const std::string reason = ErrorReason(status);
  if (reason == "COUNTER_IN_USE" && ErrorMetadata(status).contains("plan")) {
    return "'nfmeter plan get NAME -o yaml' prints a plan";
  }
  if (reason == "COUNTER_IN_USE" && !IsHeldByOurs(status)) {
    return kForeignRulesHint;
  }
  for (const ReasonHint& known : kHints) {
    if (known.reason == reason) return std::string(known.hint);
  }
  return ErrorHint(status);
}

// Whether the sentence already names the command that the hint begins with.
bool Says(absl::string_view sentence, absl::string_view hint) {
  const size_t end = hint.find('\'', 1);
  return absl::StartsWith(hint, "'") && end != absl::string_view::npos &&
         absl::StrContains(sentence, hint.substr(0, end + 1));
}

// What to say when a status has no sentence of its own.
std::string Sentence(const absl::Status& status) {
  if (!status.message().empty()) return std::string(status.message());
  return absl::StrCat("the server answered ",
                      absl::StatusCodeToString(status.code()),
                      " and gave no reason");
}

bool IsOfFlag(const InvalidField& field) {
  return FlagOfField(field.field) != field.field;
}

// All that is wrong with a file comes a line each.
std::string Lines(absl::string_view sentence) {
  const std::vector<absl::string_view> lines = absl::StrSplit(sentence, '\n');
  if (lines.size() == 1) return absl::StrCat(Printable(sentence), "\n");
  std::string text = absl::StrCat(lines.size(), " things are wrong:\n");
  for (const absl::string_view line : lines) {
    absl::StrAppend(&text, "  ", Printable(line), "\n");
  }
  return text;
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return kExitConflict;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitDenied;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    case absl::StatusCode::kResourceExhausted:
      return kExitExhausted;
    case absl::StatusCode::kUnimplemented:
      return kExitUnsupported;
    default:
      return kExitError;
  }
}

std::string ErrorText(const absl::Status& status, bool color) {
  const std::vector<InvalidField> fields = FieldViolations(status);
  std::string sentence = Sentence(status);
  // A message may be made of its violations; once is enough.
  const bool repeated =
      absl::c_all_of(fields, [&sentence](const InvalidField& field) {
        return absl::StrContains(sentence, field.field) &&
               absl::StrContains(sentence, field.description);
      });
  if (repeated && fields.size() > 1) {
    sentence = absl::StrCat(fields.size(), " things are wrong:");
  } else if (repeated && fields.size() == 1) {
    // Where it is named; the word may be in the description, too.
    const std::string& field = fields[0].field;
    sentence.replace(sentence.find(field), field.size(), FlagOfField(field));
  }
  sentence = InCommandWords(sentence, absl::c_any_of(fields, IsOfFlag));
  std::string text = absl::StrCat(Paint("nfmeter:", Style::kWarning, color),
                                  " ", Lines(sentence));
  if (!repeated || fields.size() > 1) {
    for (const InvalidField& field : fields) {
      if (!repeated && absl::StartsWith(status.message(), field.description)) {
        continue;  // said already
      }
      absl::StrAppend(
          &text, "  ", Printable(FlagOfField(field.field)), ": ",
          Printable(InCommandWords(field.description, IsOfFlag(field))), "\n");
    }
  }
  if (const std::string hint = Hint(status);
      !hint.empty() && !Says(sentence, hint)) {
    absl::StrAppend(&text, Paint("hint:", Style::kFaint, color), " ",
                    Printable(hint), "\n");
  }
  return text;
}

absl::Status UsageError(absl::string_view message, absl::string_view hint) {
  absl::Status status = absl::InvalidArgumentError(message);
  return hint.empty() ? status : WithHint(std::move(status), hint);
}

absl::Status CheckPrinted(std::ostream& out) {
  if (out.flush()) return absl::OkStatus();
  return absl::UnknownError(
      "can't write to standard output; is the disk full, or is it closed?");
}

absl::Status WithHint(absl::Status status, absl::string_view hint) {
  status.SetPayload(kHintPayload, absl::Cord(hint));
  return status;
}

}  // namespace nfmeter::cli
