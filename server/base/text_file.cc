#include "base/text_file.h"

#include <errno.h>
#include <string.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace nfmeter {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;

std::string WhyNotOpen(int error) {
  return absl::StrCat(
      strerror(error),
      error == EACCES
          ? "; let the user that nfmeterd runs as read it and pass its folders "
            "(root's right to read everything is given up)"
          : "");
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const auto unreadable = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: ", why));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return unreadable("it is a folder");
  }
  std::ifstream in(path);
  if (!in) return unreadable(WhyNotOpen(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable(strerror(errno));
  if (in.gcount() > static_cast<std::streamsize>(kMaxFileBytes)) {
    return unreadable("it is larger than 4 MiB");
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

}  // namespace nfmeter
