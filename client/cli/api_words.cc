// SPDX-License-Identifier: Apache-2.0
#include "cli/api_words.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/match_flags.h"

namespace nfmeter::cli {
namespace {

struct Word {
  absl::string_view api;
  absl::string_view command;
};

// By the field's path without what the request calls its object ("counter.",
// "rules[3].", "filter.") and without an index.
constexpr Word kFields[] = {
    {"name", "NAME"},
    {"names", "NAME"},
    {"id", "ID"},
    {"ids", "ID"},
    {"quota", "--quota-bytes or --quota-packets"},
    {"quota.packets", "--quota-packets"},
    {"quota.bytes", "--quota-bytes"},
    {"packets", "--start-packets"},
    {"bytes", "--start-bytes"},
    {"labels", "--label"},
    {"not_labels", "--label"},
    {"etag", "--etag"},
    {"request_id", "--request-id"},
    {"validate_only", "--validate-only"},
    {"max_staleness", "--max-staleness"},
    {"delete_managed_rules", "--with-rules"},
    {"name_glob", "GLOB"},
    {"counter_glob", "--counter"},
    {"managed_only", "--managed"},
    {"family", "--family"},
    {"table", "--table"},
    {"chain", "--chain"},
    {"counter", "--counter"},
    {"verdict", "--verdict"},
    {"counting_form", "--counting-form"},
    {"placement", "--head or --tail"},
    {"interval", "--interval"},
    {"changed_only", "--changed-only"},
    // Of usage.
    {"start.consumer", "--consumer"},
    {"start_time", "--since"},
    {"end_time", "--until"},
    {"time_zone", "--time-zone"},
    {"group_by_labels", "--group-by"},
    // Of flows.
    {"source", "--src"},
    {"destination", "--dst"},
    {"address", "--addr"},
    {"source_ports", "--sport"},
    {"destination_ports", "--dport"},
    {"ports", "--port"},
    {"protocol", "--proto"},
    {"mark", "--mark"},
    {"zone", "--zone"},
    {"status", "--status"},
    {"without_status", "--status"},
    {"tcp_states", "--state"},
    {"ip_version", "--ipv4 or --ipv6"},
    {"grouping.source.ipv4", "--by"},
    {"grouping.source.ipv6", "--by"},
    {"grouping.destination.ipv4", "--by"},
    {"grouping.destination.ipv6", "--by"},
};

// Whole words in sentences.
constexpr Word kWords[] = {
    {"CreateCounter", "'nfmeter counter create'"},
    {"GetCounter", "'nfmeter counter get'"},
    {"ListCounters", "'nfmeter counter list'"},
    {"ResetCounter", "'nfmeter counter reset'"},
    {"DeleteCounter", "'nfmeter counter delete'"},
    {"CreateRule", "'nfmeter rule add'"},
    {"ListRules", "'nfmeter rule list'"},
    {"DeleteRule", "'nfmeter rule delete'"},
    {"ListChains", "'nfmeter rule chains'"},
    {"WatchSnapshots", "'nfmeter watch'"},
    {"WatchQuotaEvents", "'nfmeter quota watch'"},
    {"ApplyPlan", "'nfmeter apply'"},
    {"GetPlan", "'nfmeter plan get'"},
    {"ListPlans", "'nfmeter plan list'"},
    {"DeletePlan", "'nfmeter plan delete'"},
    {"ExportPlan", "'nfmeter export'"},
    {"GetPlanStatus", "'nfmeter plan status'"},
    {"WatchPlanStatus", "'nfmeter plan watch'"},
    {"ListFlows", "'nfmeter flow list'"},
    {"SummarizeFlows", "'nfmeter flow top'"},
    {"WatchFlows", "'nfmeter flow watch'"},
    {"ListGaps", "'nfmeter usage gaps'"},
    {"CollectUsage", "'nfmeter usage collect'"},
    {"ListConsumers", "'nfmeter usage consumers'"},
    {"DeleteConsumer", "'nfmeter usage delete-consumer'"},
    {"GetNode", "'nfmeter node'"},
    {"NodeService", "'nfmeter node'"},
    {"request_id", "--request-id"},
    {"validate_only", "--validate-only"},
    {"max_staleness", "--max-staleness"},
    {"delete_managed_rules", "--with-rules"},
    {"keep_counters", "--keep-counters"},
    {"name_glob", "GLOB"},
    {"counter_glob", "--counter"},
    {"managed_only", "--managed"},
};

// "[3]" at the front of `text`; false if there is none.
bool TakeIndex(absl::string_view& text, uint64_t& index) {
  if (!absl::ConsumePrefix(&text, "[")) return false;
  const size_t end = text.find(']');
  if (end == text.npos || !absl::SimpleAtoi(text.substr(0, end), &index)) {
    return false;
  }
  text.remove_prefix(end + 1);
  return true;
}

std::string MatchFlagName(absl::string_view field) {
  const bool negated = absl::ConsumePrefix(&field, "not_");
  field = field.substr(0, field.find_first_of(".["));
  for (const MatchFlag& flag : MatchFlags()) {
    if (flag.field != field) continue;
    return absl::StrCat(negated ? "--not-" : "--", flag.name);
  }
  return "";
}

// Of a path behind its object; empty: there is none.
std::string FlagName(absl::string_view path) {
  if (absl::ConsumePrefix(&path, "match.")) return MatchFlagName(path);
  path = path.substr(0, path.find('['));
  for (const Word& field : kFields) {
    if (field.api == path) return std::string(field.command);
  }
  return "";
}

bool IsWordCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// "filter.source" or "counters[0].name" at the front of a sentence: the path of
// a field of a filter, or of an item of a batch; empty: there is none.
absl::string_view FieldAt(absl::string_view sentence) {
  for (const absl::string_view object :
       {"filter.", "counters[", "rules[", "names[", "ids["}) {
    if (!absl::StartsWith(sentence, object)) continue;
    size_t end = object.size();
    while (end < sentence.size() &&
           (IsWordCharacter(sentence[end]) || sentence[end] == ']' ||
            (sentence[end] == '.' && sentence[end - 1] == ']'))) {
      ++end;
    }
    return sentence.substr(0, end);
  }
  return "";
}

// "nfmeter.v1.NodeService/GetNode" at the front of a sentence: its length; 0:
// there is none.
size_t MethodAt(absl::string_view sentence) {
  if (!absl::StartsWith(sentence, "nfmeter.v1.")) return 0;
  size_t end = 0;
  while (end < sentence.size() &&
         (IsWordCharacter(sentence[end]) || sentence[end] == '.' ||
          sentence[end] == '/')) {
    ++end;
  }
  return sentence.find('/') < end ? end : 0;
}

std::string CommandOf(absl::string_view word, bool about_flags) {
  for (const Word& known : kWords) {
    if (known.api == word) return std::string(known.command);
  }
  // Only of a match that is no word of every day, as "source" is.
  const std::string flag =
      about_flags && absl::StrContains(word, '_') ? MatchFlagName(word) : "";
  return flag.empty() ? std::string(word) : flag;
}

}  // namespace

std::string FlagOfField(absl::string_view path) {
  absl::string_view rest = path;
  uint64_t index = 0;
  std::string item;
  for (const absl::string_view object :
       {"counters", "counter", "rules", "rule", "filter", "names", "ids"}) {
    if (!absl::ConsumePrefix(&rest, object)) continue;
    if (TakeIndex(rest, index)) item = absl::StrCat("item ", index + 1);
    if (rest.empty() && !item.empty()) return item;
    if (absl::ConsumePrefix(&rest, ".")) break;
    rest = path;  // "counter" alone is a field
    item.clear();
  }
  // What an object gets is a flag, which one is meant an argument.
  const bool described = rest != path;
  const std::string flag = described && rest == "id" ? "--id" : FlagName(rest);
  if (flag.empty()) return std::string(path);
  return item.empty() ? flag : absl::StrCat(item, ", ", flag);
}

std::string InCommandWords(absl::string_view sentence, bool about_flags) {
  std::string text;
  for (size_t i = 0; i < sentence.size();) {
    if (const auto field = FieldAt(sentence.substr(i)); !field.empty()) {
      absl::StrAppend(&text, FlagOfField(field));
      i += field.size();
      continue;
    }
    // A method as a policy names it is one word: that of its command, or as it
    // is.
    if (const size_t length = MethodAt(sentence.substr(i)); length > 0) {
      const absl::string_view method = sentence.substr(i, length);
      const absl::string_view word = method.substr(method.find('/') + 1);
      const std::string command = CommandOf(word, about_flags);
      absl::StrAppend(&text, command == word ? method : command);
      i += length;
      continue;
    }
    size_t end = i;
    while (end < sentence.size() && IsWordCharacter(sentence[end])) ++end;
    absl::StrAppend(&text, CommandOf(sentence.substr(i, end - i), about_flags));
    if (end < sentence.size()) text.push_back(sentence[end++]);
    i = end;
  }
  return text;
}

}  // namespace nfmeter::cli
