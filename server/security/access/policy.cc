// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/policy.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text_file.h"
#include "base/yaml_reading.h"

namespace nfmeter::security {
namespace {

using Strings = std::vector<std::string>;

constexpr char kVersion[] = "1";
constexpr size_t kMaxPatternBytes = 2048;
constexpr size_t kMaxPrefixBytes = 253;  // names of counters are not longer

const Strings& RootKeys() {
  static const auto* const keys = new Strings{"version", "rules"};
  return *keys;
}

const Strings& RuleKeys() {
  static const auto* const keys = new Strings{
      "name",  "principals",   "role", "methods", "counter_prefixes",
      "flows", "flow_prefixes"};
  return *keys;
}

// One reading of one file.
class PolicyReading {
 public:
  explicit PolicyReading(const std::string& file) : yaml_(file) {
    policy_.file = file;
  }

  absl::StatusOr<Policy> Read(const std::string& text) {
    bool is_there = false;
    yaml_.Read(text, [&](const YAML::Node& root) {
      is_there = true;
      ReadRoot(root);
    });
    NFM_RETURN_IF_ERROR(yaml_.Finish());
    if (!is_there) {
      yaml_.Wrong(YAML::Mark(),
                  "is empty; a policy has 'version: 1' and 'rules'");
    }
    NFM_RETURN_IF_ERROR(yaml_.Finish());
    return std::move(policy_);
  }

 private:
  void ReadRoot(const YAML::Node& root) {
    if (!root.IsMap()) {
      yaml_.Wrong(root.Mark(), "must be a map with 'version' and 'rules'");
      return;
    }
    bool has_version = false;
    bool has_rules = false;
    yaml_.ForEach(root, "", RootKeys(),
                  [&](const std::string& key, const YAML::Node& word,
                      const YAML::Node& value) {
                    if (key == "version") {
                      has_version = true;
                      ReadVersion(word, value);
                    } else {
                      has_rules = true;
                      ReadRules(word, value);
                    }
                  });
    if (!has_version) {
      yaml_.Wrong(root.Mark(), "has no 'version'; write: version: 1");
    }
    if (!has_rules) {
      yaml_.Wrong(root.Mark(), "has no 'rules'; write 'rules: []' for none");
    }
  }

  void ReadVersion(const YAML::Node& word, const YAML::Node& value) {
    if (!value.IsScalar() || value.Scalar() != kVersion) {
      yaml_.Wrong(value.IsScalar() ? value.Mark() : word.Mark(),
                  "'version' must be 1, the only one that there is");
    }
  }

  void ReadRules(const YAML::Node& word, const YAML::Node& list) {
    if (!list.IsSequence()) {
      yaml_.Wrong(list.IsNull() ? word.Mark() : list.Mark(),
                  "'rules' must be a list; write 'rules: []' for none");
      return;
    }
    for (const YAML::Node& entry : list) ReadRule(entry);
  }

  void ReadRule(const YAML::Node& entry) {
    if (!entry.IsMap()) {
      yaml_.Wrong(entry.Mark(), "a rule must be a map with: " + KeysOfRules());
      return;
    }
    PolicyRule rule;
    rule.line = entry.Mark().line + 1;
    rule.name = absl::StrCat("rule ", policy_.rules.size() + 1);
    Strings seen;
    yaml_.ForEach(entry, "", RuleKeys(),
                  [&](const std::string& key, const YAML::Node& word,
                      const YAML::Node& value) {
                    seen.push_back(key);
                    ReadRuleKey(key, word, value, rule);
                  });
    for (const char* needed : {"principals", "role"}) {
      if (std::find(seen.begin(), seen.end(), needed) == seen.end()) {
        yaml_.Wrong(entry.Mark(), absl::StrCat("a rule needs '", needed, "'"));
      }
    }
    policy_.rules.push_back(std::move(rule));
  }

  static std::string KeysOfRules() {
    return "principals, role, and perhaps name, methods, counter_prefixes, "
           "flows, flow_prefixes";
  }

  void ReadRuleKey(const std::string& key, const YAML::Node& word,
                   const YAML::Node& value, PolicyRule& rule) {
    if (key == "principals") {
      rule.principals = ReadList(key, word, value, kMaxPatternBytes);
    } else if (key == "methods") {
      rule.grant.methods = ReadList(key, word, value, kMaxPatternBytes);
    } else if (key == "counter_prefixes") {
      rule.grant.counter_prefixes = ReadList(key, word, value, kMaxPrefixBytes);
    } else if (key == "flow_prefixes") {
      rule.has_flow_prefixes = true;
      ReadFlowPrefixes(word, value, rule.grant.flows);
    } else if (!value.IsScalar()) {
      yaml_.Wrong(word.Mark(), absl::StrCat("'", key, "' must be one value"));
    } else if (key == "name") {
      if (!value.Scalar().empty()) rule.name = value.Scalar();
    } else if (key == "flows") {
      ReadFlows(value, rule);
    } else {
      ReadRole(value, rule);
    }
  }

  void ReadRole(const YAML::Node& value, PolicyRule& rule) {
    const std::optional<Role> role = ParseRole(value.Scalar());
    if (!role.has_value() || *role == Role::kNone) {
      yaml_.Wrong(value.Mark(),
                  absl::StrCat("'role' must be viewer, operator or admin, not "
                               "'",
                               value.Scalar(), "'"));
      return;
    }
    rule.grant.role = *role;
  }

  void ReadFlows(const YAML::Node& value, PolicyRule& rule) {
    const std::optional<FlowAccess> flows = ParseFlowAccess(value.Scalar());
    if (!flows.has_value() || *flows == FlowAccess::kNone) {
      yaml_.Wrong(value.Mark(),
                  absl::StrCat("'flows' must be summary or full, not '",
                               value.Scalar(), "'"));
      return;
    }
    rule.grant.flows.access = *flows;
  }

  void ReadFlowPrefixes(const YAML::Node& word, const YAML::Node& map,
                        FlowRights& flows) {
    if (!map.IsMap()) {
      yaml_.Wrong(
          word.Mark(),
          "'flow_prefixes' must be a map, such as {ipv4: 24, ipv6: 48}");
      return;
    }
    static const auto* const keys = new Strings{"ipv4", "ipv6"};
    yaml_.ForEach(
        map, "flow_prefixes.", *keys,
        [&](const std::string& key, const YAML::Node& at,
            const YAML::Node& value) {
          const bool is_ipv4 = absl::EndsWith(key, "ipv4");
          const uint32_t longest = is_ipv4 ? 32 : 128;
          uint32_t bits = 0;
          if (!value.IsScalar() || !absl::SimpleAtoi(value.Scalar(), &bits) ||
              bits > longest) {
            yaml_.Wrong(at.Mark(),
                        absl::StrCat("'", key, "' must be a number from 0 to ",
                                     longest));
            return;
          }
          (is_ipv4 ? flows.ipv4_bits : flows.ipv6_bits) =
              static_cast<uint8_t>(bits);
        });
  }

  // An empty list would be read as "all" where the key may be left out, so it
  // is not allowed anywhere.
  Strings ReadList(const std::string& key, const YAML::Node& word,
                   const YAML::Node& list, size_t max_bytes) {
    Strings values;
    if (!list.IsSequence() || list.size() == 0) {
      yaml_.Wrong(word.Mark(),
                  absl::StrCat("'", key, "' must be a list of at least one"));
      return values;
    }
    for (const YAML::Node& each : list) {
      if (!each.IsScalar() || each.Scalar().empty()) {
        yaml_.Wrong(each.Mark().is_null() ? word.Mark() : each.Mark(),
                    absl::StrCat("each of '", key, "' must be a text"));
      } else if (each.Scalar().size() > max_bytes) {
        yaml_.Wrong(each.Mark(),
                    absl::StrCat("each of '", key, "' may have at most ",
                                 max_bytes, " bytes"));
      } else {
        values.push_back(each.Scalar());
      }
    }
    return values;
  }

  YamlReading yaml_;
  Policy policy_;
};

}  // namespace

bool PolicyRule::Concerns(const Principal& principal) const {
  for (const std::string& pattern : principals) {
    for (const std::string& name : principal.names) {
      if (MatchesPattern(pattern, name)) return true;
    }
  }
  return false;
}

std::vector<Grant> Policy::GrantsOf(const Principal& principal) const {
  std::vector<Grant> grants;
  for (const PolicyRule& rule : rules) {
    if (rule.Concerns(principal)) grants.push_back(rule.grant);
  }
  return grants;
}

absl::StatusOr<Policy> ParsePolicy(const std::string& text,
                                   const std::string& file) {
  return PolicyReading(file).Read(text);
}

absl::StatusOr<Policy> ReadPolicy(const std::string& file) {
  NFM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParsePolicy(text, file);
}

}  // namespace nfmeter::security
