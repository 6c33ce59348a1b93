// SPDX-License-Identifier: Apache-2.0
// Servers by name: ~/.config/nfmeter/config.yaml.
//
//   current: gw1
//   contexts:
//     gw1: {server: "gw1:7443", ca: ca.crt, cert: me.crt, key: me.key}
//     local: {server: "unix:/run/nfmeter/nfmeter.sock", output: wide}
//   groups:
//     edge: [gw1, gw2]
#ifndef NFMETER_CLI_CONTEXTS_H_
#define NFMETER_CLI_CONTEXTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/session.h"

namespace nfmeter::cli {

// What the file says. Plain data.
struct Contexts {
  // Of one server: values of flags by the flags' names ("server",
  // "tls-server-name"), and true for --insecure.
  using Values = std::map<std::string, std::string>;

  std::string current;  // empty: none
  std::map<std::string, Values> contexts;
  std::map<std::string, std::vector<std::string>> groups;
};

// $NFMETER_CONFIG, or config.yaml in $XDG_CONFIG_HOME/nfmeter, else in
// ~/.config/nfmeter.
std::string ContextsPath();

// None when there is no such file. INVALID_ARGUMENT: it can't be read, or has
// what it should not have.
absl::StatusOr<Contexts> LoadContexts(const std::string& path);

// Replaces the file, readable to its owner alone. UNKNOWN: it can't be written.
absl::Status SaveContexts(const Contexts& contexts, const std::string& path);

// The contexts of "a,b", where groups stand for their members; each once.
// NOT_FOUND names what is neither context nor group. INVALID_ARGUMENT: these
// are none. Of "" there are none, and that is no error.
absl::StatusOr<std::vector<std::string>> ExpandContexts(
    const Contexts& contexts, absl::string_view names);

// `flags` with what the context says where neither flag nor environment did.
GlobalFlags WithContext(GlobalFlags flags, const Contexts::Values& values);

// The way back: a context that says what `flags` say.
Contexts::Values ContextValues(const GlobalFlags& flags);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_CONTEXTS_H_
