// SPDX-License-Identifier: GPL-3.0-or-later
// Reading YAML files strictly, with all that is wrong and where.
#ifndef NFMETER_BASE_YAML_READING_H_
#define NFMETER_BASE_YAML_READING_H_

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter {

// One reading of one text; collects what is wrong. Not thread-safe.
class YamlReading {
 public:
  // `name` stands in front of what is wrong: the file's.
  explicit YamlReading(std::string name) : name_(std::move(name)) {}

  // Calls `read` with the text's one document; not with one that is empty.
  // yaml-cpp's exceptions end here.
  void Read(const std::string& text,
            absl::FunctionRef<void(const YAML::Node& root)> read);

  void Wrong(const YAML::Mark& mark, absl::string_view what);

  // Calls `read` with the word, path (`prefix` and word) and value of each
  // entry whose word is one of `known`.
  using ReadEntry =
      absl::FunctionRef<void(const std::string& path, const YAML::Node& word,
                             const YAML::Node& value)>;
  void ForEach(const YAML::Node& map, const std::string& prefix,
               const std::vector<std::string>& known, ReadEntry read);

  // INVALID_ARGUMENT: everything that is wrong, a "NAME:LINE:COLUMN: what" each
  // line; a hundred of them at most, and how many more.
  absl::Status Finish() const;

 private:
  const std::string name_;
  std::vector<std::string> wrong_;
  size_t wrong_count_ = 0;
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_YAML_READING_H_
