// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_table_edit.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernel/fake/fake_rule_text.h"

namespace nfmeter::kernel {
namespace {

Rule RuleOf(const TableEdit& edit, const RuleSpec& spec) {
  Rule rule;
  rule.family = edit.family;
  rule.table = edit.table;
  rule.id = spec.id;
  rule.chain = spec.chain;
  rule.match = spec.match;
  rule.counter = spec.counter;
  rule.form = spec.form;
  rule.verdict = spec.verdict;
  rule.managed = true;
  rule.text = FakeRuleText(spec);
  rule.target = std::string(TargetName(spec.verdict, spec.form));
  return rule;
}

Chain* FindChain(TableContents& contents, absl::string_view name) {
  for (Chain& chain : contents.chains) {
    if (chain.name == name) return &chain;
  }
  return nullptr;
}

Rule OwnedRuleOf(const OwnedTable& table, const std::string& text) {
  Rule rule = FakeForeignRule(text);
  rule.family = table.family;
  rule.table = table.table;
  return rule;
}

}  // namespace

void CountReferences(TableContents& contents) {
  std::map<std::string, uint32_t> references;
  for (const Chain& chain : contents.chains) {
    for (const Rule& rule : chain.rules) ++references[rule.target];
  }
  for (Chain& chain : contents.chains) {
    chain.references = chain.builtin ? 0 : references[chain.name];
  }
}

void CarryEdit(const TableEdit& edit, const EditPlan& plan,
               TableContents& contents) {
  for (const EditPlan::ChainDeletions& deletions : plan.deletions) {
    std::vector<Rule>& rules = contents.chains[deletions.chain].rules;
    for (auto it = deletions.positions.rbegin();
         it != deletions.positions.rend(); ++it) {
      rules.erase(rules.begin() + (*it - 1));
    }
  }
  for (Chain& chain : contents.chains) {
    for (const RestoredRule& restored : edit.restorations) {
      if (restored.spec.chain != chain.name) continue;
      Rule rule = RuleOf(edit, restored.spec);
      rule.packets = restored.packets;
      rule.bytes = restored.bytes;
      const size_t before =
          std::min<size_t>(restored.position - 1, chain.rules.size());
      chain.rules.insert(chain.rules.begin() + before, std::move(rule));
    }
    std::vector<Rule> added;
    for (const RuleSpec& spec : edit.insertions) {
      if (spec.chain == chain.name) added.push_back(RuleOf(edit, spec));
    }
    const auto where = edit.placement == RulePlacement::kHead
                           ? chain.rules.begin()
                           : chain.rules.end();
    chain.rules.insert(where, std::make_move_iterator(added.begin()),
                       std::make_move_iterator(added.end()));
  }
  NumberRules(contents);
  CountReferences(contents);
}

void CarryOwned(const OwnedTable& wanted, const OwnedSteps& steps,
                RulePlacement placement,
                const std::vector<std::vector<std::string>>& texts,
                TableContents& contents, TableOutcome& moved) {
  for (const std::string& name : steps.made) {
    const auto where =
        absl::c_find_if(contents.chains, [&](const Chain& other) {
          return !other.builtin && other.name > name;
        });
    contents.chains.insert(where, {.name = name});
  }
  const auto empty = [&](Chain& chain) {
    absl::c_move(chain.rules, std::back_inserter(moved.deleted));
    chain.rules.clear();
  };
  for (const size_t i : steps.filled) {
    Chain& chain = *FindChain(contents, wanted.chains[i].name);
    empty(chain);
    for (const std::string& text : texts[i]) {
      chain.rules.push_back(OwnedRuleOf(wanted, text));
      moved.inserted.push_back(chain.rules.back());
    }
  }
  for (const OwnedSteps::Jumps& jumps : steps.deleted_jumps) {
    Chain& chain = *FindChain(contents, jumps.chain);
    for (size_t i = jumps.positions.size(); i-- > 0;) {
      chain.rules.erase(chain.rules.begin() + jumps.positions[i] - 1);
    }
  }
  for (const size_t i : steps.made_jumps) {
    const OwnedHook& hook = wanted.hooks[i];
    Chain& chain = *FindChain(contents, hook.from);
    chain.rules.insert(
        placement == RulePlacement::kHead ? chain.rules.begin()
                                          : chain.rules.end(),
        OwnedRuleOf(wanted, absl::StrCat("-A ", hook.from, " -j ", hook.to)));
  }
  for (const std::string& name : steps.removed) {
    empty(*FindChain(contents, name));
  }
  for (const std::string& name : steps.removed) {
    std::erase_if(contents.chains,
                  [&](const Chain& chain) { return chain.name == name; });
  }
  NumberRules(contents);
  CountReferences(contents);
}

}  // namespace nfmeter::kernel
