#include "service/rule/validate_rule.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "service/gate/repeats.h"
#include "service/gate/request_checks.h"
#include "service/rule/rule_words.h"
#include "service/rule/validate_match.h"

namespace nfmeter::service {
namespace {

using kernel::Family;
using kernel::Table;

constexpr size_t kMaxIdBytes = 40;
constexpr size_t kMaxChainBytes = 28;  // XT_EXTENSION_MAXNAMELEN - 1

// The chains that the kernel itself has in a table.
absl::Span<const absl::string_view> BuiltinChains(Table table) {
  static constexpr absl::string_view kFilter[] = {"INPUT", "FORWARD", "OUTPUT"};
  static constexpr absl::string_view kMangle[] = {
      "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
  static constexpr absl::string_view kRaw[] = {"PREROUTING", "OUTPUT"};
  static constexpr absl::string_view kNat[] = {"PREROUTING", "INPUT", "OUTPUT",
                                               "POSTROUTING"};
  switch (table) {
    case Table::kMangle:
      return kMangle;
    case Table::kRaw:
      return kRaw;
    case Table::kNat:
      return kNat;
    default:
      return kFilter;  // and security
  }
}

bool Contains(absl::Span<const absl::string_view> names,
              absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsOurId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

void CheckChain(const std::string& chain, Table table, const std::string& field,
                FieldErrors& errors) {
  if (chain.empty()) {
    errors.Add(field, "is empty; name a chain such as INPUT");
  } else if (chain.size() > kMaxChainBytes) {
    errors.Add(field, absl::StrCat("is ", chain.size(), " bytes long; at most ",
                                   kMaxChainBytes));
  } else if (!std::all_of(chain.begin(), chain.end(), absl::ascii_isgraph)) {
    errors.Add(field, absl::StrCat(Quoted(chain),
                                   " has a character that names of chains "
                                   "can't have"));
  } else if (Contains(BuiltinChains(Table::kMangle), chain) &&
             !Contains(BuiltinChains(table), chain)) {
    errors.Add(field,
               absl::StrCat("table ", kernel::TableName(table), " has no ",
                            chain, "; its built-in chains are ",
                            absl::StrJoin(BuiltinChains(table), ", ")));
  }
}

kernel::Verdict ReadVerdict(v1::Verdict verdict, Table table,
                            const std::string& field, FieldErrors& errors) {
  switch (verdict) {
    case v1::VERDICT_UNSPECIFIED:
    case v1::VERDICT_CONTINUE:
      return kernel::Verdict::kContinue;
    case v1::VERDICT_ACCEPT:
      return kernel::Verdict::kAccept;
    case v1::VERDICT_RETURN:
      return kernel::Verdict::kReturn;
    case v1::VERDICT_DROP:
      if (table == Table::kNat) {
        errors.Add(field, "table nat is not for dropping; use filter");
      }
      return kernel::Verdict::kDrop;
    default:
      errors.Add(field, absl::StrCat(verdict,
                                     " can't be chosen; CONTINUE, ACCEPT, "
                                     "DROP or RETURN"));
      return kernel::Verdict::kContinue;
  }
}

std::optional<kernel::CountingForm> ReadForm(v1::CountingForm form,
                                             kernel::Verdict verdict,
                                             const std::string& field,
                                             FieldErrors& errors) {
  switch (form) {
    case v1::COUNTING_FORM_UNSPECIFIED:
      return std::nullopt;
    case v1::COUNTING_FORM_MATCH:
      return kernel::CountingForm::kMatch;
    case v1::COUNTING_FORM_TARGET:
      if (verdict != kernel::Verdict::kContinue) {
        errors.Add(field,
                   "TARGET counts and goes on; a rule with another verdict "
                   "than CONTINUE counts by MATCH");
      }
      return kernel::CountingForm::kTarget;
    default:
      errors.Add(field, absl::StrCat(form, " is neither MATCH nor TARGET"));
      return std::nullopt;
  }
}

// The family that a part of the rule belongs to.
struct FamilyHint {
  Family family;
  std::string field;
  std::string what;
};

std::vector<FamilyHint> FamilyHints(const kernel::RuleMatch& match,
                                    const std::string& field) {
  std::vector<FamilyHint> hints;
  const auto add_address = [&](const auto& prefix, absl::string_view name) {
    if (!prefix.has_value()) return;
    hints.push_back(
        {prefix->value.family, absl::StrCat(field, ".", name),
         absl::StrCat("is an ", kernel::FamilyName(prefix->value.family),
                      " address")});
  };
  add_address(match.source, "source");
  add_address(match.destination, "destination");
  if (match.protocol.has_value()) {
    const std::string path = absl::StrCat(field, ".protocol");
    if (match.protocol->value == kProtocolIcmp) {
      hints.push_back({Family::kIpv4, path, "icmp belongs to IPv4"});
    } else if (match.protocol->value == kProtocolIcmpv6) {
      hints.push_back({Family::kIpv6, path, "icmpv6 belongs to IPv6"});
    }
  }
  return hints;
}

// The family asked for, or that of addresses and protocol, or IPv4.
Family ChooseFamily(std::optional<Family> wanted,
                    const kernel::RuleMatch& match, const std::string& field,
                    FieldErrors& errors) {
  const std::vector<FamilyHint> hints = FamilyHints(match, field);
  const bool any_ipv6 = std::any_of(
      hints.begin(), hints.end(),
      [](const FamilyHint& hint) { return hint.family == Family::kIpv6; });
  const Family family =
      wanted.value_or(any_ipv6 ? Family::kIpv6 : Family::kIpv4);
  for (const FamilyHint& hint : hints) {
    if (hint.family == family) continue;
    errors.Add(
        hint.field,
        absl::StrCat(
            hint.what, ", but the rule is of ", kernel::FamilyName(family),
            wanted.has_value() ? " by its family" : " by its other parts"));
  }
  return family;
}

// What packets don't have where a built-in chain sees them.
void CheckMatchFitsChain(const kernel::RuleMatch& match,
                         const std::string& chain, const std::string& field,
                         FieldErrors& errors) {
  const bool builtin = Contains(BuiltinChains(Table::kMangle), chain);
  const bool sending = chain == "OUTPUT" || chain == "POSTROUTING";
  const bool receiving = chain == "INPUT" || chain == "PREROUTING";
  if (sending && match.in_interface.has_value()) {
    errors.Add(absl::StrCat(field, ".in_interface"),
               absl::StrCat("packets in ", chain,
                            " have no input interface; use out_interface, or "
                            "another chain"));
  }
  if (receiving && match.out_interface.has_value()) {
    errors.Add(absl::StrCat(field, ".out_interface"),
               absl::StrCat("packets in ", chain,
                            " have no output interface yet; use in_interface, "
                            "or another chain"));
  }
  if (!builtin || sending) return;
  const auto check_sender = [&](bool is_set, absl::string_view name) {
    if (!is_set) return;
    errors.Add(absl::StrCat(field, ".", name),
               "is known only where packets are sent: in OUTPUT and "
               "POSTROUTING");
  };
  check_sender(match.owner_uid.has_value(), "owner_uid");
  check_sender(match.owner_gid.has_value(), "owner_gid");
}

}  // namespace

accounting::NewRule ReadNewRule(const v1::Rule& rule, const std::string& field,
                                FieldErrors& errors) {
  const auto path = [&](absl::string_view name) {
    return absl::StrCat(field, ".", name);
  };
  accounting::NewRule read;
  if (!rule.id().empty() && !IsOurId(rule.id())) {
    errors.Add(path("id"), absl::StrCat(Quoted(rule.id()), " must be 1 to ",
                                        kMaxIdBytes, " of [a-z0-9-]"));
  }
  read.spec.id = rule.id();
  read.table =
      ReadTable(rule.table(), path("table"), errors).value_or(Table::kFilter);
  CheckChain(rule.chain(), read.table, path("chain"), errors);
  read.spec.chain = rule.chain();
  read.spec.match = ReadMatch(rule.match(), path("match"), errors);
  read.family = ChooseFamily(ReadFamily(rule.family(), path("family"), errors),
                             read.spec.match, path("match"), errors);
  CheckMatchFitsChain(read.spec.match, rule.chain(), path("match"), errors);
  read.spec.counter = ReadCounterName(rule.counter(), path("counter"), errors);
  read.spec.verdict =
      ReadVerdict(rule.verdict(), read.table, path("verdict"), errors);
  read.form = ReadForm(rule.counting_form(), read.spec.verdict,
                       path("counting_form"), errors);
  read.field = field;
  return read;
}

std::vector<accounting::NewRule> ReadNewRules(
    const google::protobuf::RepeatedPtrField<v1::Rule>& rules,
    FieldErrors& errors) {
  std::vector<accounting::NewRule> read;
  read.reserve(rules.size());
  Repeats repeats("rules", ".id", rules.size());
  for (int i = 0; i < rules.size(); ++i) {
    read.push_back(ReadNewRule(rules[i], Indexed("rules", i), errors));
    repeats.Check(rules[i].id(), i, errors);
  }
  return read;
}

void CheckRuleId(const std::string& id, const std::string& field,
                 FieldErrors& errors) {
  if (id.empty()) {
    errors.Add(field, "is empty; name a rule by its id");
    return;
  }
  const bool foreign = id.size() > 1 && id[0] == '~';
  if (!IsOurId(foreign ? absl::string_view(id).substr(1) : id)) {
    errors.Add(
        field,
        absl::StrCat(Quoted(id), " is not the id of a rule: 1 to ", kMaxIdBytes,
                     " of [a-z0-9-], after '~' for rules "
                     "of others"));
  }
}

std::vector<std::string> ReadRuleIds(
    const google::protobuf::RepeatedPtrField<std::string>& ids,
    FieldErrors& errors) {
  Repeats repeats("ids", "", ids.size());
  for (int i = 0; i < ids.size(); ++i) {
    CheckRuleId(ids[i], Indexed("ids", i), errors);
    repeats.Check(ids[i], i, errors);
  }
  return {ids.begin(), ids.end()};
}

kernel::RulePlacement ReadPlacement(v1::RulePlacement placement,
                                    FieldErrors& errors) {
  switch (placement) {
    case v1::RULE_PLACEMENT_UNSPECIFIED:
    case v1::RULE_PLACEMENT_HEAD:
      return kernel::RulePlacement::kHead;
    case v1::RULE_PLACEMENT_TAIL:
      return kernel::RulePlacement::kTail;
    default:
      errors.Add("placement", absl::StrCat(placement,
                                           " is neither HEAD nor "
                                           "TAIL"));
      return kernel::RulePlacement::kHead;
  }
}

accounting::RuleFilter ReadRuleFilter(const v1::RuleFilter& filter,
                                      FieldErrors& errors) {
  CheckGlob(filter.counter_glob(), "filter.counter_glob", errors);
  return {.family = ReadFamily(filter.family(), "filter.family", errors),
          .table = ReadTable(filter.table(), "filter.table", errors),
          .chain = filter.chain(),
          .counter_glob = filter.counter_glob(),
          .managed_only = filter.managed_only()};
}

std::optional<Family> ReadFamily(v1::Family family, const std::string& field,
                                 FieldErrors& errors) {
  switch (family) {
    case v1::FAMILY_UNSPECIFIED:
      return std::nullopt;
    case v1::FAMILY_IPV4:
      return Family::kIpv4;
    case v1::FAMILY_IPV6:
      return Family::kIpv6;
    default:
      errors.Add(field, absl::StrCat(family, " is neither IPV4 nor IPV6"));
      return std::nullopt;
  }
}

std::optional<Table> ReadTable(const std::string& table,
                               const std::string& field, FieldErrors& errors) {
  if (table.empty()) return std::nullopt;
  const std::optional<Table> read = kernel::TableFromName(table);
  if (!read.has_value()) {
    errors.Add(field, absl::StrCat(Quoted(table),
                                   " is not a table; the tables are filter, "
                                   "mangle, raw, nat and security"));
  }
  return read;
}

}  // namespace nfmeter::service
