// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_name.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernel/acct_table.h"

namespace nfmeter::kernel {
namespace {

constexpr absl::string_view kPrefix = "c.";
constexpr absl::string_view kEscape = "_x";
constexpr char kHex[] = "0123456789abcdef";
constexpr size_t kMostBytes = 255;  // NFT_OBJ_MAXNAMELEN - 1

bool IsPlain(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
         c == '-' || c == '_' || c == '/';
}

// -1 for what is no lower-case hex digit.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string NftObjectName(absl::string_view name) {
  if (IsShownHash(name)) return std::string(name.substr(1));
  std::string out(kPrefix);
  out.reserve(kPrefix.size() + name.size());
  for (size_t i = 0; i < name.size(); ++i) {
    if (IsPlain(name[i]) && !absl::StartsWith(name.substr(i), kEscape)) {
      out.push_back(name[i]);
      continue;
    }
    const uint8_t byte = static_cast<uint8_t>(name[i]);
    out.append(kEscape.data(), kEscape.size());
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  if (out.size() > kMostBytes) return absl::StrCat("h.", NameHash(name, 24));
  return out;
}

void ResolveHash(const AcctNames& names, std::string& name) {
  if (!IsShownHash(name)) return;
  if (auto known = names.Find(name.substr(1))) name = *std::move(known);
}

bool AppendCounterName(absl::string_view object_name, std::string& name) {
  const size_t start = name.size();
  absl::string_view rest = object_name;
  if (IsHashedNftName(rest)) {
    absl::StrAppend(&name, "~", rest);
    return true;
  }
  if (!absl::StartsWith(rest, kPrefix)) return false;
  rest.remove_prefix(kPrefix.size());
  while (!rest.empty()) {
    if (!absl::StartsWith(rest, kEscape)) {
      name.push_back(rest[0]);
      rest.remove_prefix(1);
      continue;
    }
    const int high = rest.size() < 4 ? -1 : HexDigit(rest[2]);
    const int low = rest.size() < 4 ? -1 : HexDigit(rest[3]);
    if (high < 0 || low < 0) break;
    name.push_back(static_cast<char>(high * 16 + low));
    rest.remove_prefix(4);
  }
  const absl::string_view read = absl::string_view(name).substr(start);
  if (rest.empty() && IsAcctName(read) && NftObjectName(read) == object_name) {
    return true;
  }
  name.resize(start);
  return false;
}

absl::string_view CounterNameOf(absl::string_view object_name,
                                std::string& scratch) {
  if (IsHashedNftName(object_name)) {
    scratch = absl::StrCat("~", object_name);
    return scratch;
  }
  if (!absl::StartsWith(object_name, kPrefix)) return {};
  const absl::string_view rest = object_name.substr(kPrefix.size());
  bool plain = IsAcctName(rest);
  for (size_t i = 0; plain && i < rest.size(); ++i) {
    plain = IsPlain(rest[i]) &&
            (rest[i] != '_' || i + 1 == rest.size() || rest[i + 1] != 'x');
  }
  if (plain) return rest;
  scratch.clear();
  AppendCounterName(object_name, scratch);
  return scratch;
}

}  // namespace nfmeter::kernel
