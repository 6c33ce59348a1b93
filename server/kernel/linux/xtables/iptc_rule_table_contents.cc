// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/iptc_rule_table_contents.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {
namespace {

DecodedEntry Opaque(const IptcRule& rule) {
  DecodedEntry entry;
  entry.match_text =
      absl::StrCat(" [", rule.entry.size(), " bytes that can't be read]");
  entry.other_matches.push_back("unreadable");
  entry.verdict = Verdict::kOther;
  return entry;
}

// From the front in the front half and from the back in the other one: libiptc
// walks to a position from the nearer end, so deleting a run of rules takes
// constant time for each, wherever the run touches an end.
int DeleteRules(const Chain& chain, const std::vector<uint32_t>& positions,
                IptcHandle& handle) {
  const size_t half = chain.rules.size() / 2;
  uint32_t gone = 0;
  size_t front = 0;
  for (; front < positions.size() && positions[front] <= half; ++front) {
    const int err = handle.Delete(chain.name, positions[front] - gone);
    if (err != 0) return err;
    ++gone;
  }
  for (size_t i = positions.size(); i > front; --i) {
    const int err = handle.Delete(chain.name, positions[i - 1] - gone);
    if (err != 0) return err;
  }
  return 0;
}

// Puts the edit's restorations back, behind the deletions.
int Restore(const TableContents& contents, const EditPlan& plan,
            const TableEdit& edit,
            const std::vector<std::vector<uint8_t>>& entries,
            IptcHandle& handle) {
  if (edit.restorations.empty()) return 0;
  absl::flat_hash_map<absl::string_view, size_t> lengths;
  for (const Chain& chain : contents.chains) {
    lengths[chain.name] = chain.rules.size();
  }
  for (const EditPlan::ChainDeletions& deletions : plan.deletions) {
    lengths[contents.chains[deletions.chain].name] -=
        deletions.positions.size();
  }
  for (size_t i = 0; i < edit.restorations.size(); ++i) {
    const RestoredRule& rule = edit.restorations[i];
    const size_t end = ++lengths[rule.spec.chain];
    const int err = handle.Insert(
        rule.spec.chain,
        static_cast<uint32_t>(std::min<size_t>(rule.position, end)),
        entries[i].data());
    if (err != 0) return err;
  }
  return 0;
}

}  // namespace

Rule ReadRule(Family family, Table table, absl::string_view chain,
              const IptcRule& in, IpSetIndex& sets) {
  absl::StatusOr<DecodedEntry> decoded =
      DecodeEntry(family, in.entry, in.target, sets);
  DecodedEntry entry = decoded.ok() ? *std::move(decoded) : Opaque(in);
  Rule rule;
  rule.family = family;
  rule.table = table;
  // All rules of ours count; a comment like ours on another is somebody's.
  rule.managed = !entry.id.empty() && !entry.counter.empty();
  if (rule.managed) rule.id = std::move(entry.id);
  rule.chain = std::string(chain);
  rule.match = std::move(entry.match);
  rule.counter = std::move(entry.counter);
  rule.form = entry.form;
  rule.other_counters = std::move(entry.other_counters);
  rule.verdict = entry.verdict;
  rule.packets = in.packets;
  rule.bytes = in.bytes;
  rule.target = std::string(in.target);
  rule.other_matches = std::move(entry.other_matches);
  rule.text = absl::StrCat("-A ", chain, entry.match_text);
  if (!in.target.empty()) {
    absl::StrAppend(&rule.text, entry.goto_chain ? " -g " : " -j ",
                    entry.target_alias.empty() ? in.target : entry.target_alias,
                    entry.target_options);
  }
  return rule;
}

TableContents ReadContents(IptcHandle& handle, Family family, Table table,
                           IpSetIndex& sets) {
  TableContents contents{.family = family, .table = table};
  handle.ForEachChain([&](const IptcChain& in) {
    Chain& chain = contents.chains.emplace_back();
    chain.name = std::string(in.name);
    chain.builtin = in.builtin;
    chain.policy = in.policy;
    chain.packets = in.packets;
    chain.bytes = in.bytes;
    chain.references = in.references;
    handle.ForEachRule(in.name, [&](const IptcRule& rule) {
      chain.rules.push_back(ReadRule(family, table, in.name, rule, sets));
    });
  });
  NumberRules(contents);
  return contents;
}

int ApplyEdit(const TableContents& contents, const EditPlan& plan,
              const TableEdit& edit,
              const std::vector<std::vector<uint8_t>>& entries,
              IptcHandle& handle) {
  for (const EditPlan::ChainDeletions& deletions : plan.deletions) {
    const int err = DeleteRules(contents.chains[deletions.chain],
                                deletions.positions, handle);
    if (err != 0) return err;
  }
  const int err = Restore(contents, plan, edit, entries, handle);
  if (err != 0) return err;
  const size_t first = edit.restorations.size();
  const size_t count = edit.insertions.size();
  for (size_t i = 0; i < count; ++i) {
    // Backwards at the head, so that the first one ends up first.
    const bool head = edit.placement == RulePlacement::kHead;
    const size_t next = head ? count - 1 - i : i;
    const std::string& chain = edit.insertions[next].chain;
    const uint8_t* entry = entries[first + next].data();
    const int err =
        head ? handle.Insert(chain, 1, entry) : handle.Append(chain, entry);
    if (err != 0) return err;
  }
  return 0;
}

}  // namespace nfmeter::kernel
