// SPDX-License-Identifier: Apache-2.0
#include "cli/shell.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"

namespace nfmeter::cli {

absl::Status RunShell(const std::string& line,
                      const std::map<std::string, std::string>& variables) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : variables) {
    texts.push_back(absl::StrCat(name, "=", value));
  }
  // The first of two variables of a name counts.
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  std::string command = line;
  char shell[] = "sh";
  char flag[] = "-c";
  char* const arguments[] = {shell, flag, command.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments,
                                environment.data());
  if (error != 0) {
    return absl::UnknownError(absl::ErrnoToStatus(error, "/bin/sh").message());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::UnknownError(
      WIFEXITED(status) ? absl::StrCat("'", line, "' ended with exit status ",
                                       WEXITSTATUS(status))
                        : absl::StrCat("'", line, "' was ended by signal ",
                                       WTERMSIG(status)));
}

}  // namespace nfmeter::cli
