// SPDX-License-Identifier: Apache-2.0
#include "proto/yaml/yaml_places.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace nfmeter {
namespace {

// One step of a path: ".name", "[3]" or "[\"key\"]".
struct Step {
  enum class Kind { kField, kIndex, kKey };
  Kind kind = Kind::kField;
  std::string word;
  size_t index = 0;
};

// Takes the first step off `path`; false: there is none that can be read.
bool TakeStep(absl::string_view& path, Step& step) {
  if (absl::StartsWith(path, "[\"")) {
    const size_t end = path.find("\"]", 2);
    if (end == absl::string_view::npos) return false;
    step = {.kind = Step::Kind::kKey,
            .word = std::string(path.substr(2, end - 2))};
    path.remove_prefix(end + 2);
    return true;
  }
  if (absl::StartsWith(path, "[")) {
    const size_t end = path.find(']');
    step = {.kind = Step::Kind::kIndex};
    if (end == absl::string_view::npos ||
        !absl::SimpleAtoi(path.substr(1, end - 1), &step.index)) {
      return false;
    }
    path.remove_prefix(end + 1);
    return true;
  }
  if (absl::StartsWith(path, ".")) path.remove_prefix(1);
  const size_t end = std::min(path.find_first_of(".["), path.size());
  step = {.kind = Step::Kind::kField, .word = std::string(path.substr(0, end))};
  path.remove_prefix(end);
  return end > 0;
}

// "splitBy" of "split_by": ReadYaml() takes both.
std::string InCamelCase(absl::string_view word) {
  std::string camel;
  for (const char c : word) {
    if (!camel.empty() && camel.back() == '_') {
      camel.back() = absl::ascii_toupper(static_cast<unsigned char>(c));
    } else {
      camel += c;
    }
  }
  return camel;
}

}  // namespace

class YamlPlaces::Document {
 public:
  explicit Document(const std::string& text) {
    try {
      root_ = YAML::Load(text);
    } catch (const YAML::Exception&) {
      root_.reset();
    }
  }

  // As far as the path leads.
  YAML::Mark Find(absl::string_view path) const {
    YAML::Node node = root_;
    YAML::Mark mark = root_.Mark();
    Step step;
    while (!path.empty() && TakeStep(path, step)) {
      if (step.kind == Step::Kind::kIndex) {
        if (!node.IsSequence() || step.index >= node.size()) break;
        node.reset(node[step.index]);
        mark = node.Mark();
        continue;
      }
      YAML::Node key;
      YAML::Node value;
      if (!FindEntry(node, step.word, key, value) &&
          !(step.kind == Step::Kind::kField &&
            FindEntry(node, InCamelCase(step.word), key, value))) {
        break;
      }
      // Points at the value of a field if that is a scalar. At the key
      // otherwise, and in maps, where the key is wrong more often.
      const bool at_value = step.kind == Step::Kind::kField && value.IsScalar();
      mark = at_value ? value.Mark() : key.Mark();
      node.reset(value);
    }
    return mark;
  }

 private:
  static bool FindEntry(const YAML::Node& map, const std::string& word,
                        YAML::Node& key, YAML::Node& value) {
    if (!map.IsMap()) return false;
    for (const auto& entry : map) {
      if (entry.first.IsScalar() && entry.first.Scalar() == word) {
        key.reset(entry.first);
        value.reset(entry.second);
        return true;
      }
    }
    return false;
  }

  YAML::Node root_;
};

YamlPlaces::YamlPlaces(const std::string& text, const std::string& name)
    : name_(name), document_(std::make_unique<Document>(text)) {}

YamlPlaces::~YamlPlaces() = default;

std::string YamlPlaces::Of(absl::string_view field) const {
  const YAML::Mark mark = document_->Find(field);
  return absl::StrCat(name_, ":", std::max(mark.line, 0) + 1, ":",
                      std::max(mark.column, 0) + 1);
}

}  // namespace nfmeter
