// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/yaml_reading.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/suggestion.h"

namespace nfmeter {
namespace {

// Bounds of what Finish() says: how many faults, and how long each line.
constexpr size_t kMaxLines = 100;
constexpr size_t kMaxLineBytes = 500;

// Where the last document's content begins.
class ContentMark final : public YAML::EventHandler {
 public:
  const YAML::Mark& mark() const { return mark_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    mark_ = mark;
    is_first_ = true;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    Note(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&,
                       YAML::anchor_t, YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnMapEnd() override {}

 private:
  void Note(const YAML::Mark& mark) {
    if (is_first_) mark_ = mark;
    is_first_ = false;
  }

  YAML::Mark mark_;
  bool is_first_ = true;
};

}  // namespace

void YamlReading::Read(const std::string& text,
                       absl::FunctionRef<void(const YAML::Node& root)> read) {
  try {
    // Not YAML::LoadAll(): that of 0.7 finds documents without end at a bracket
    // that nobody opened.
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    ContentMark content;
    if (!parser.HandleNextDocument(content)) return;
    if (parser.HandleNextDocument(content)) {
      Wrong(content.mark(), "only one document is allowed");
      return;
    }
    const YAML::Node root = YAML::Load(text);
    if (!root.IsNull()) read(root);
  } catch (const YAML::Exception& error) {
    Wrong(error.mark, absl::StrCat("not YAML: ", error.msg));
  }
}

void YamlReading::Wrong(const YAML::Mark& mark, absl::string_view what) {
  if (++wrong_count_ > kMaxLines) return;
  wrong_.push_back(absl::StrCat(name_, ":", mark.line + 1, ":", mark.column + 1,
                                ": ", what.substr(0, kMaxLineBytes),
                                what.size() > kMaxLineBytes ? "..." : ""));
}

void YamlReading::ForEach(const YAML::Node& map, const std::string& prefix,
                          const std::vector<std::string>& known,
                          ReadEntry read) {
  absl::flat_hash_set<std::string> seen;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) {
      Wrong(entry.first.Mark(), "a key must be a word");
      continue;
    }
    const std::string& word = entry.first.Scalar();
    const std::string path = absl::StrCat(prefix, word);
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      Wrong(entry.first.Mark(),
            absl::StrCat("unknown key '", path, "'", Suggestion(word, known)));
    } else if (!seen.insert(word).second) {
      Wrong(entry.first.Mark(), absl::StrCat("'", path, "' is there twice"));
    } else {
      read(path, entry.first, entry.second);
    }
  }
}

absl::Status YamlReading::Finish() const {
  if (wrong_.empty()) return absl::OkStatus();
  std::string lines = absl::StrJoin(wrong_, "\n");
  if (wrong_count_ > wrong_.size()) {
    absl::StrAppend(&lines, "\n", name_, ": and ", wrong_count_ - wrong_.size(),
                    " more");
  }
  return absl::InvalidArgumentError(lines);
}

}  // namespace nfmeter
