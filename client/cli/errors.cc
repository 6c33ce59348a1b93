#include "cli/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/table.h"
#include "nfmeter/errors.h"

namespace nfmeter::cli {
namespace {

// Our own hints travel beside the SDK's.
constexpr char kHintPayload[] = "nfmeter.cli/hint";

std::string Hint(const absl::Status& status) {
  if (const auto hint = status.GetPayload(kHintPayload)) {
    return std::string(*hint);
  }
  return ErrorHint(status);
}

// What to say when a status has no sentence of its own.
std::string Sentence(const absl::Status& status) {
  if (!status.message().empty()) return std::string(status.message());
  return absl::StrCat("the server answered ",
                      absl::StatusCodeToString(status.code()),
                      " and gave no reason");
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
  std::string text = absl::StrCat(Paint("nfmeter:", Style::kWarning, color),
                                  " ", Printable(Sentence(status)), "\n");
  for (const InvalidField& field : FieldViolations(status)) {
    const std::string name = Printable(field.field);
    const std::string description = Printable(field.description);
    // A message may be made of its only violation; once is enough.
    const absl::string_view message = status.message();
    if (absl::StrContains(message, name) &&
        absl::StrContains(message, description)) {
      continue;
    }
    absl::StrAppend(&text, "  ", name, ": ", description, "\n");
  }
  if (const std::string hint = Hint(status); !hint.empty()) {
    absl::StrAppend(&text, Paint("hint:", Style::kFaint, color), " ",
                    Printable(hint), "\n");
  }
  return text;
}

absl::Status UsageError(absl::string_view message, absl::string_view hint) {
  absl::Status status = absl::InvalidArgumentError(message);
  if (!hint.empty()) status.SetPayload(kHintPayload, absl::Cord(hint));
  return status;
}

}  // namespace nfmeter::cli
