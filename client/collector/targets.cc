// SPDX-License-Identifier: Apache-2.0
#include "collector/targets.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/src/status_macros.h"
#include "yaml-cpp/yaml.h"

namespace nfmeter::collector {
namespace {

bool IsControl(char c) {
  return absl::ascii_iscntrl(static_cast<unsigned char>(c));
}

// Reads one file; collects what is wrong with it.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  absl::StatusOr<TargetsFile> Read(absl::string_view yaml) {
    try {
      ReadFile(YAML::Load(std::string(yaml)));
    } catch (const YAML::Exception& error) {
      Wrong(error.mark, error.msg);
    }
    if (wrong_.empty()) return std::move(file_);
    return absl::InvalidArgumentError(absl::StrJoin(wrong_, "\n"));
  }

 private:
  void Wrong(const YAML::Mark& mark, absl::string_view what) {
    wrong_.push_back(mark.line < 0
                         ? absl::StrCat(path_, ": ", what)
                         : absl::StrCat(path_, ":", mark.line + 1, ": ", what));
  }

  void ReadFile(const YAML::Node& file) {
    if (!file.IsMap()) {
      return Wrong(file.Mark(),
                   "must have 'targets:', a list of nodes with 'address' and "
                   "'name'");
    }
    Target defaults;
    if (const YAML::Node node = file["defaults"]; node) {
      ReadTarget(node, /*is_default=*/true, defaults);
    }
    for (const auto& member : file) {
      const std::string key = member.first.as<std::string>("");
      if (key == "defaults") continue;
      if (key != "targets" && key != "discover") {
        Wrong(member.first.Mark(),
              absl::StrCat("'", key,
                           "' is not known; there are targets, "
                           "discover and defaults"));
      } else if (!member.second.IsSequence()) {
        if (member.second.IsNull()) continue;
        Wrong(member.second.Mark(), absl::StrCat("'", key, "' must be a list"));
      } else if (key == "targets") {
        for (const auto& node : member.second) AddTarget(node, defaults);
      } else {
        for (const auto& node : member.second) AddDiscovery(node, defaults);
      }
    }
    if (wrong_.empty() && file_.targets.empty() && file_.discover.empty()) {
      Wrong(file.Mark(), "names no node; give 'targets:' a list");
    }
  }

  void AddTarget(const YAML::Node& node, Target target) {
    if (!ReadTarget(node, /*is_default=*/false, target)) return;
    if (target.address.empty()) {
      return Wrong(node.Mark(),
                   "a target needs an 'address', such as gw1:7443 or "
                   "unix:/run/nfmeter/nfmeter.sock");
    }
    if (target.name.empty()) target.name = target.address;
    for (const std::string* text : {&target.name, &target.address}) {
      if (std::any_of(text->begin(), text->end(), IsControl)) {
        return Wrong(node.Mark(),
                     absl::StrCat("'", absl::CHexEscape(*text),
                                  "' has a line feed or another control "
                                  "character"));
      }
    }
    const auto [first, is_new] =
        names_.emplace(target.name, node.Mark().line + 1);
    if (!is_new) {
      return Wrong(node.Mark(), absl::StrCat("'", target.name, "' is in line ",
                                             first->second,
                                             " already; names tell nodes "
                                             "apart"));
    }
    const auto [other, address_is_new] =
        addresses_.emplace(target.address, target.name);
    if (!address_is_new) {
      return Wrong(node.Mark(),
                   absl::StrCat("'", target.name, "' has the address of '",
                                other->second, "', ", target.address));
    }
    file_.targets.push_back(std::move(target));
  }

  void AddDiscovery(const YAML::Node& node, const Target& defaults) {
    Discovery discovery;
    discovery.pattern = defaults;
    if (!node.IsMap()) {
      return Wrong(node.Mark(), "must have 'srv', or 'hosts' and 'port'");
    }
    YAML::Node rest(YAML::NodeType::Map);
    for (const auto& member : node) {
      const std::string key = member.first.as<std::string>("");
      if (key == "srv" || key == "hosts") {
        discovery.kind =
            key == "srv" ? Discovery::Kind::kSrv : Discovery::Kind::kHosts;
        discovery.name = member.second.as<std::string>("");
      } else if (key == "port") {
        discovery.port = member.second.as<uint16_t>(0);
      } else {
        rest[member.first] = member.second;
      }
    }
    if (discovery.name.empty()) {
      return Wrong(node.Mark(), "must have 'srv', or 'hosts' and 'port'");
    }
    if (discovery.kind == Discovery::Kind::kHosts && discovery.port == 0) {
      return Wrong(node.Mark(), "'hosts' needs a 'port' from 1 to 65535");
    }
    if (ReadTarget(rest, /*is_default=*/true, discovery.pattern)) {
      file_.discover.push_back(std::move(discovery));
    }
  }

  std::string PathOf(const YAML::Node& node) const {
    const std::filesystem::path path(node.as<std::string>());
    if (path.empty() || path.is_absolute()) return path;
    return std::filesystem::path(path_).parent_path() / path;
  }

  // False: something is wrong.
  bool ReadTarget(const YAML::Node& node, bool is_default, Target& target) {
    const size_t before = wrong_.size();
    if (!node.IsMap()) {
      Wrong(node.Mark(),
            "must be a map, such as {name: gw1, address: "
            "\"gw1:7443\"}");
      return false;
    }
    for (const auto& member : node) {
      const std::string key = member.first.as<std::string>("");
      if (key == "tls" && member.second.IsMap()) {
        for (const auto& part : member.second) {
          ReadTls(part.first.as<std::string>(""), part, target);
        }
      } else if (!member.second.IsScalar()) {
        Wrong(member.second.Mark(), absl::StrCat("'", key, "' must be a text"));
      } else if (!is_default && key == "name") {
        target.name = member.second.as<std::string>();
      } else if (!is_default && key == "address") {
        target.address = member.second.as<std::string>();
      } else {
        ReadTls(key, member, target);
      }
    }
    const TlsOptions& tls = target.tls;
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
      Wrong(node.Mark(), "'cert' and 'key' belong together");
    }
    if (target.use_tls && target.insecure) {
      Wrong(node.Mark(), "has TLS files and 'insecure'; one of them");
    }
    return wrong_.size() == before;
  }

  template <typename Member>
  void ReadTls(const std::string& key, const Member& member, Target& target) {
    const YAML::Node& value = member.second;
    static const std::map<std::string, std::string TlsOptions::*> files = {
        {"ca", &TlsOptions::ca_file},
        {"ca_file", &TlsOptions::ca_file},
        {"cert", &TlsOptions::certificate_file},
        {"certificate_file", &TlsOptions::certificate_file},
        {"key", &TlsOptions::key_file},
        {"key_file", &TlsOptions::key_file}};
    if (const auto file = files.find(key); file != files.end()) {
      target.tls.*(file->second) = PathOf(value);
      target.use_tls = true;
    } else if (key == "server_name") {
      target.tls.server_name = value.template as<std::string>();
      target.use_tls = true;
    } else if (key == "insecure") {
      if (!YAML::convert<bool>::decode(value, target.insecure)) {
        Wrong(value.Mark(), "'insecure' must be true or false");
      }
    } else {
      Wrong(member.first.Mark(),
            absl::StrCat("'", key,
                         "' is not known; a target has name, "
                         "address, ca, cert, key, server_name and "
                         "insecure"));
    }
  }

  const std::string path_;
  TargetsFile file_;
  std::map<std::string, int> names_;  // with their lines
  std::map<std::string, std::string> addresses_;
  std::vector<std::string> wrong_;
};

}  // namespace

ClientOptions OptionsFor(const Target& target) {
  ClientOptions options;
  options.address = target.address;
  if (target.use_tls) options.tls = target.tls;
  options.insecure = target.insecure;
  options.user_agent = "nfmeter-collector";
  options.one_of_many = true;
  options.retry.max_attempts = 1;
  return options;
}

absl::StatusOr<TargetsFile> ParseTargets(absl::string_view yaml,
                                         const std::string& path) {
  return Reader(path).Read(yaml);
}

absl::StatusOr<std::string> ReadTargetsText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) errno = 0;
  // An empty file is an error of the stream's, too.
  if (!file || (!(text << file.rdbuf()) && errno != 0)) {
    return absl::ErrnoToStatus(
        errno == 0 ? ENOENT : errno,
        absl::StrCat(path,
                     " can't be read; give --targets a file that says "
                     "which nodes there are"));
  }
  return text.str();
}

absl::StatusOr<TargetsFile> ReadTargets(const std::string& path) {
  NFM_ASSIGN_OR_RETURN(const std::string text, ReadTargetsText(path));
  return ParseTargets(text, path);
}

}  // namespace nfmeter::collector
