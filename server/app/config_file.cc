// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/config_file.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "app/options.h"
#include "base/status_macros.h"
#include "base/text_file.h"
#include "base/yaml_reading.h"

namespace nfmeter::app {
namespace {

// What a listener in the file may have.
const std::vector<std::string>& ListenerKeys() {
  static const auto* const keys =
      new std::vector<std::string>{"address", "mode", "group", "role", "flows"};
  return *keys;
}

// One reading of one file.
class ConfigReading {
 public:
  ConfigReading(const std::string& name, Config& config)
      : yaml_(name), config_(config) {}

  absl::Status Read(const std::string& text) {
    yaml_.Read(text, [this](const YAML::Node& root) { ReadRoot(root); });
    return yaml_.Finish();
  }

 private:
  void ReadRoot(const YAML::Node& root) {
    if (!root.IsMap()) {
      yaml_.Wrong(root.Mark(), "must be a map of options");
      return;
    }
    std::vector<std::string> known = {"listen"};
    for (const Option& option : AllOptions()) {
      const std::string top = option.key.substr(0, option.key.find('.'));
      if (known.back() != top) known.push_back(top);
    }
    yaml_.ForEach(root, "", known,
                  [&](const std::string& key, const YAML::Node& word,
                      const YAML::Node& value) {
                    if (key == "listen") {
                      ReadListeners(value);
                    } else {
                      ReadOptionOrGroup(key, word, value);
                    }
                  });
  }

  void ReadOptionOrGroup(const std::string& key, const YAML::Node& word,
                         const YAML::Node& value) {
    const std::string prefix = absl::StrCat(key, ".");
    std::vector<std::string> known;
    for (const Option& option : AllOptions()) {
      if (option.key == key) {
        ReadOption(option, word, value);
        return;
      }
      if (absl::StartsWith(option.key, prefix)) {
        known.push_back(option.key.substr(prefix.size()));
      }
    }
    if (value.IsNull()) return;  // a group with everything commented out
    if (!value.IsMap()) {
      yaml_.Wrong(value.Mark(), absl::StrCat("'", key, "' must be a map with: ",
                                             absl::StrJoin(known, ", ")));
      return;
    }
    yaml_.ForEach(value, prefix, known,
                  [&](const std::string& path, const YAML::Node& each_word,
                      const YAML::Node& each) {
                    for (const Option& option : AllOptions()) {
                      if (option.key == path)
                        ReadOption(option, each_word, each);
                    }
                  });
  }

  void ReadOption(const Option& option, const YAML::Node& word,
                  const YAML::Node& value) {
    if (value.IsNull()) {  // has no place of its own
      yaml_.Wrong(word.Mark(), absl::StrCat("'", option.key, "' has no value"));
      return;
    }
    if (!value.IsScalar()) {
      yaml_.Wrong(value.Mark(),
                  absl::StrCat("'", option.key, "' must be one value"));
      return;
    }
    if (absl::Status status = option.set(value.Scalar(), config_);
        !status.ok()) {
      yaml_.Wrong(value.Mark(),
                  absl::StrCat("'", option.key, "' ", status.message()));
    }
  }

  void ReadListeners(const YAML::Node& list) {
    if (!list.IsSequence()) {
      yaml_.Wrong(list.Mark(), "'listen' must be a list: - unix:/PATH");
      return;
    }
    if (list.size() == 0) {
      yaml_.Wrong(
          list.Mark(),
          "'listen' has no address; name one, or leave 'listen' out for "
          "the default");
    }
    config_.listen.listeners.clear();
    for (const YAML::Node& entry : list) {
      config_.listen.listeners.push_back(ReadListener(entry));
    }
  }

  security::ListenerOptions ReadListener(const YAML::Node& entry) {
    security::ListenerOptions listener;
    if (!entry.IsMap()) {
      ReadListenerKey("listen.address", entry, listener);
      return listener;
    }
    bool has_address = false;
    bool has_access = false;
    yaml_.ForEach(entry, "listen.", ListenerKeys(),
                  [&](const std::string& key, const YAML::Node&,
                      const YAML::Node& value) {
                    has_address |= key == "listen.address";
                    has_access |= key == "listen.mode" || key == "listen.group";
                    ReadListenerKey(key, value, listener);
                  });
    if (!has_address) {
      yaml_.Wrong(entry.Mark(), "a listener needs an address");
    } else if (has_access &&
               listener.address.kind == security::ListenAddress::Kind::kTcp) {
      yaml_.Wrong(entry.Mark(), "mode and group are for unix sockets only");
    }
    return listener;
  }

  void ReadListenerKey(const std::string& key, const YAML::Node& value,
                       security::ListenerOptions& listener) {
    if (!value.IsScalar()) {
      yaml_.Wrong(value.Mark(), absl::StrCat("'", key, "' must be one value"));
      return;
    }
    const std::string& text = value.Scalar();
    const auto take = [&](const auto& parsed, auto& out) {
      if (parsed.ok()) {
        out = *parsed;
      } else {
        yaml_.Wrong(value.Mark(),
                    absl::StrCat("'", key, "' ", parsed.status().message()));
      }
    };
    if (key == "listen.group") {
      listener.group = text;
    } else if (key == "listen.role") {
      take(ParseListenerRole(text), listener.role);
    } else if (key == "listen.flows") {
      take(ParseListenerFlows(text), listener.flows);
    } else if (key == "listen.mode") {
      take(ParseMode(text), listener.mode);
    } else {
      auto address = security::ParseListenAddress(text);
      if (address.ok()) {
        listener.address = *std::move(address);
      } else {
        yaml_.Wrong(value.Mark(), address.status().message());
      }
    }
  }

  YamlReading yaml_;
  Config& config_;
};

}  // namespace

absl::Status ReadConfigText(const std::string& text, const std::string& name,
                            Config& config) {
  return ConfigReading(name, config).Read(text);
}

absl::Status ReadConfigFile(const std::string& path, Config& config) {
  NFM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  return ReadConfigText(text, path, config);
}

}  // namespace nfmeter::app
