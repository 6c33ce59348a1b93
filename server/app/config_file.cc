#include "app/config_file.h"

#include <errno.h>
#include <string.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "app/options.h"

namespace nfmeter::app {
namespace {

// What a listener in the file may have.
const std::vector<std::string>& ListenerKeys() {
  static const auto* const keys =
      new std::vector<std::string>{"address", "mode", "group"};
  return *keys;
}

// One reading of one file; collects what is wrong.
class Reading {
 public:
  Reading(const std::string& name, Config& config)
      : name_(name), config_(config) {}

  absl::Status Finish() const {
    if (wrong_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(wrong_, "\n"));
  }

  void Wrong(const YAML::Mark& mark, absl::string_view what) {
    wrong_.push_back(absl::StrCat(name_, ":", mark.line + 1, ":",
                                  mark.column + 1, ": ", what));
  }

  void ReadRoot(const YAML::Node& root) {
    if (root.IsNull()) return;  // nothing but comments
    if (!root.IsMap()) {
      Wrong(root.Mark(), "must be a map of options");
      return;
    }
    std::vector<std::string> known = {"listen"};
    for (const Option& option : AllOptions()) {
      const std::string top = option.key.substr(0, option.key.find('.'));
      if (known.back() != top) known.push_back(top);
    }
    ForEach(root, "", known,
            [&](const std::string& key, const YAML::Node& word,
                const YAML::Node& value) {
              if (key == "listen") {
                ReadListeners(value);
              } else {
                ReadOptionOrGroup(key, word, value);
              }
            });
  }

 private:
  // Calls `read` with path, key and value of each entry whose key is known.
  template <typename Read>
  void ForEach(const YAML::Node& map, const std::string& prefix,
               const std::vector<std::string>& known, Read read) {
    absl::flat_hash_set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        Wrong(entry.first.Mark(), "a key must be a word");
        continue;
      }
      const std::string& word = entry.first.Scalar();
      const std::string key = absl::StrCat(prefix, word);
      if (std::find(known.begin(), known.end(), word) == known.end()) {
        Wrong(entry.first.Mark(),
              absl::StrCat("unknown key '", key, "'", Suggestion(word, known)));
      } else if (!seen.insert(word).second) {
        Wrong(entry.first.Mark(), absl::StrCat("'", key, "' is there twice"));
      } else {
        read(key, entry.first, entry.second);
      }
    }
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
      Wrong(value.Mark(), absl::StrCat("'", key, "' must be a map with: ",
                                       absl::StrJoin(known, ", ")));
      return;
    }
    ForEach(value, prefix, known,
            [&](const std::string& path, const YAML::Node& each_word,
                const YAML::Node& each) {
              for (const Option& option : AllOptions()) {
                if (option.key == path) ReadOption(option, each_word, each);
              }
            });
  }

  void ReadOption(const Option& option, const YAML::Node& word,
                  const YAML::Node& value) {
    if (value.IsNull()) {  // has no place of its own
      Wrong(word.Mark(), absl::StrCat("'", option.key, "' has no value"));
      return;
    }
    if (!value.IsScalar()) {
      Wrong(value.Mark(), absl::StrCat("'", option.key, "' must be one value"));
      return;
    }
    if (absl::Status status = option.set(value.Scalar(), config_);
        !status.ok()) {
      Wrong(value.Mark(),
            absl::StrCat("'", option.key, "' ", status.message()));
    }
  }

  void ReadListeners(const YAML::Node& list) {
    if (!list.IsSequence()) {
      Wrong(list.Mark(), "'listen' must be a list: - unix:/PATH");
      return;
    }
    config_.listen.listeners.clear();
    for (const YAML::Node& entry : list) {
      security::ListenerOptions listener;
      bool has_address = false;
      bool has_access = false;
      if (entry.IsMap()) {
        ForEach(entry, "listen.", ListenerKeys(),
                [&](const std::string& key, const YAML::Node&,
                    const YAML::Node& value) {
                  has_address |= key == "listen.address";
                  has_access |= key != "listen.address";
                  ReadListenerKey(key, value, listener);
                });
        if (!has_address) Wrong(entry.Mark(), "a listener needs an address");
      } else {
        has_address = true;
        ReadListenerKey("listen.address", entry, listener);
      }
      if (has_address && has_access &&
          listener.address.kind == security::ListenAddress::Kind::kTcp) {
        Wrong(entry.Mark(), "mode and group are for unix sockets only");
      }
      config_.listen.listeners.push_back(std::move(listener));
    }
  }

  void ReadListenerKey(const std::string& key, const YAML::Node& value,
                       security::ListenerOptions& listener) {
    if (!value.IsScalar()) {
      Wrong(value.Mark(), absl::StrCat("'", key, "' must be one value"));
      return;
    }
    const std::string& text = value.Scalar();
    if (key == "listen.group") {
      listener.group = text;
    } else if (key == "listen.mode") {
      const absl::StatusOr<mode_t> mode = ParseMode(text);
      if (mode.ok()) {
        listener.mode = *mode;
      } else {
        Wrong(value.Mark(),
              absl::StrCat("'", key, "' ", mode.status().message()));
      }
    } else {
      auto address = security::ParseListenAddress(text);
      if (address.ok()) {
        listener.address = *std::move(address);
      } else {
        Wrong(value.Mark(), address.status().message());
      }
    }
  }

  const std::string name_;
  Config& config_;
  std::vector<std::string> wrong_;
};

}  // namespace

absl::Status ReadConfigText(const std::string& text, const std::string& name,
                            Config& config) {
  Reading reading(name, config);
  // yaml-cpp reports by exceptions; they end here.
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      reading.Wrong(documents[1].Mark(), "only one document is allowed");
    } else if (documents.size() == 1) {
      reading.ReadRoot(documents[0]);
    }
  } catch (const YAML::Exception& error) {
    reading.Wrong(error.mark, absl::StrCat("not YAML: ", error.msg));
  }
  return reading.Finish();
}

absl::Status ReadConfigFile(const std::string& path, Config& config) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: it is a folder"));
  }
  std::ifstream in(path);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    // An empty file sets failbit of `text` only.
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: ", strerror(errno)));
  }
  return ReadConfigText(text.str(), path, config);
}

}  // namespace nfmeter::app
