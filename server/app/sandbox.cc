// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/sandbox.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "app/host_identity.h"
#include "base/unique_fd.h"
#include "kernel/linux/xtables/table_socket.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "proto/yaml/plan_files.h"
#include "security/listen/unix_socket.h"
#include "security/sandbox/landlock.h"
#include "security/sandbox/privileges.h"
#include "security/sandbox/seccomp.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

using security::FileAccess;
using Kind = security::ListenAddress::Kind;

constexpr int kFirstFreePort = 1024;

// What the libraries read: names and addresses, time zone, kinds of CPUs,
// modules of NSS and OpenSSL. And what nfmeterd itself reads: tables, and who
// holds the xtables lock.
constexpr const char* kSystemFiles[] = {"/etc/nsswitch.conf",
                                        "/etc/resolv.conf",
                                        "/etc/host.conf",
                                        "/etc/hosts",
                                        "/etc/gai.conf",
                                        "/etc/passwd",
                                        "/etc/group",
                                        "/etc/services",
                                        "/etc/protocols",
                                        "/etc/localtime",
                                        "/etc/ld.so.cache",
                                        "/etc/ssl/openssl.cnf",
                                        "/usr",
                                        "/lib",
                                        "/lib64",
                                        "/proc",
                                        "/sys/devices/system/cpu",
                                        "/sys/fs/cgroup",
                                        "/dev/urandom",
                                        "/dev/null"};

std::string FolderOf(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).parent_path().string();
}

// Those of gRPC, of metrics and of the page.
std::vector<security::ListenAddress> AllAddresses(const Config& config) {
  std::vector<security::ListenAddress> addresses;
  for (const security::ListenerOptions& each : config.listen.listeners) {
    addresses.push_back(each.address);
  }
  for (const auto& other : {config.metrics.listen, config.web.listen}) {
    if (other.has_value()) addresses.push_back(*other);
  }
  return addresses;
}

void MakePlaces(const Config& config) {
  if (!config.state_dir.empty()) mkdir(config.state_dir.c_str(), 0750);
  for (const security::ListenerOptions& each : config.listen.listeners) {
    if (each.address.kind == Kind::kUnix &&
        each.address.path == security::kDefaultSocketPath) {
      security::MakeRoomForSocket(each.address.path).IgnoreError();
    }
  }
  if (config.read_only) return;
  // As iptables makes it.
  const UniqueFd lock(open(kernel::XtablesLockPath().c_str(),
                           O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

void AddFile(const std::string& path, std::vector<std::string>& readable) {
  if (path.empty()) return;
  std::vector<std::string> folders = security::FoldersToRead(path);
  readable.insert(readable.end(), folders.begin(), folders.end());
  readable.push_back(path);
}

// Files come and go; a folder that is a link may be exchanged for another one
// beside it.
void AddPlans(const std::string& path, std::vector<std::string>& readable) {
  if (path.empty()) return;
  AddFile(path, readable);
  const auto files = FindPlanFiles(path);
  if (!files.ok()) return;
  for (const std::string& file : *files) AddFile(file, readable);
}

FileAccess AccessFor(const Config& config) {
  FileAccess access;
  access.readable.assign(std::begin(kSystemFiles), std::end(kSystemFiles));
  access.readable.push_back(kernel::XtablesLockPath());
  if (!config.state_dir.empty()) access.writable.push_back(config.state_dir);
  if (config.enable_flow_accounting) {
    for (const char* setting : {"acct", "timestamp"}) {
      access.writable.push_back(
          absl::StrCat("/proc/sys/net/netfilter/nf_conntrack_", setting));
    }
  }
  AddFile(config.policy, access.readable);
  AddPlans(config.plan, access.readable);
  for (const std::string& file : HostIdentityFiles()) {
    AddFile(file, access.readable);
  }
  // Rotated files are made anew.
  if (!config.audit_file.empty()) {
    access.writable.push_back(FolderOf(config.audit_file));
    // If it is a link, the file is in another folder.
    std::error_code ignored;
    access.writable.push_back(
        FolderOf(std::filesystem::weakly_canonical(config.audit_file, ignored)
                     .string()));
  }
  for (const security::ListenAddress& each : AllAddresses(config)) {
    if (each.kind == Kind::kUnix) {
      access.socket_folders.push_back(FolderOf(each.path));
    } else {
      access.ports.push_back(each.port);
    }
  }
  if (config.listen.tls.has_value()) {
    AddFile(config.listen.tls->certificate, access.readable);
    AddFile(config.listen.tls->key, access.readable);
    AddFile(config.listen.tls->client_ca, access.readable);
  }
  return access;
}

}  // namespace

absl::Status GiveUpPrivileges(const Config& config) {
  security::PrivilegeOptions options = {.read_only = config.read_only};
  for (const security::ListenAddress& each : AllAddresses(config)) {
    options.low_ports |=
        each.kind == Kind::kTcp && each.port != 0 && each.port < kFirstFreePort;
  }
  for (const security::ListenerOptions& each : config.listen.listeners) {
    if (each.address.kind == Kind::kTcp || each.group.empty()) continue;
    // One that does not exist is refused by CheckConfig().
    const auto group = security::FindGroup(each.group);
    if (group.ok()) options.socket_groups.push_back(*group);
  }
  if (config.read_only) kernel::UseTablesWithoutRawSockets();
  return security::DropPrivileges(options);
}

absl::StatusOr<int> RestrictFiles(const Config& config) {
  if (!config.sandbox) return 0;
  MakePlaces(config);
  return security::RestrictFiles(AccessFor(config));
}

absl::Status FilterSystemCalls(const Config& config, int landlock_version) {
  // Asked for before the filter forbids it.
  const std::string capabilities = security::DescribeCapabilities();
  const int no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  std::string seccomp = "off";
  if (config.sandbox) {
    const absl::Status filtered = security::FilterSystemCalls();
    if (!filtered.ok() && !absl::IsUnimplemented(filtered)) return filtered;
    seccomp = filtered.ok() ? "on" : std::string(filtered.message());
  }
  telemetry::Log(config.sandbox ? telemetry::LogLevel::kInfo
                                : telemetry::LogLevel::kWarning,
                 "restricted",
                 {{"capabilities", capabilities},
                  {"no_new_privs", no_new_privs},
                  {"seccomp", seccomp},
                  {"landlock", landlock_version > 0
                                   ? absl::StrCat("version ", landlock_version)
                               : config.sandbox ? "not in this kernel"
                                                : "off"},
                  {"read_only", config.read_only ? "true" : "false"}});
  return absl::OkStatus();
}

}  // namespace nfmeter::app
