// SPDX-License-Identifier: Apache-2.0
// Where in a YAML text a field of a message stands.
#ifndef NFMETER_PROTO_YAML_YAML_PLACES_H_
#define NFMETER_PROTO_YAML_YAML_PLACES_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter {

// Turns paths of fields, as errors name them, into lines and columns, so that
// what a server finds wrong can be told as what a reader of the file finds.
// Not thread-safe.
class YamlPlaces {
 public:
  // `name` is the file's.
  YamlPlaces(const std::string& text, const std::string& name);
  ~YamlPlaces();

  YamlPlaces(const YamlPlaces&) = delete;
  YamlPlaces& operator=(const YamlPlaces&) = delete;

  // "NAME:LINE:COLUMN" of `groups[0].members["192.0.2.7"]`, or of the innermost
  // part of it that is there: a field that is missing is told at what lacks
  // it. Of a text that is no YAML: "NAME:1:1".
  std::string Of(absl::string_view field) const;

 private:
  class Document;
  const std::string name_;
  const std::unique_ptr<Document> document_;
};

}  // namespace nfmeter

#endif  // NFMETER_PROTO_YAML_YAML_PLACES_H_
