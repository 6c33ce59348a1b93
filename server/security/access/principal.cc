// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/principal.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace nfmeter::security {
namespace {

constexpr char kSpiffe[] = "spiffe://";
// SPIFFE-ID 2.3 and 2.4
constexpr size_t kMaxSpiffeIdBytes = 2048;
constexpr size_t kMaxTrustDomainBytes = 255;
// The policy is asked for each name of a certificate, so there is a bound.
constexpr size_t kMaxNames = 64;
constexpr size_t kMaxNameBytes = 2048;

constexpr char kUnnamed[] = "certificate";
constexpr char kCertified = 'c';
constexpr char kLocal = 'l';
constexpr char kSeparator = '\0';

bool IsTrustDomainCharacter(unsigned char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' ||
         c == '-' || c == '_';
}

bool IsPathCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
}

// A name that a policy can have and a log can show. gRPC gives what the
// certificate has, NUL bytes and all.
bool IsUsable(absl::string_view name, bool ascii_only) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [&](unsigned char c) {
           return c >= 0x20 && c != 0x7f && (c < 0x80 || !ascii_only);
         });
}

// gRPC's own peer_spiffe_id is less strict than the standard.
void AddUris(const std::vector<std::string>& uris, Principal& principal) {
  for (const std::string& uri : uris) {
    if (absl::StartsWithIgnoreCase(uri, "spiffe:")) {
      if (uris.size() == 1 && IsSpiffeId(uri)) principal.names.push_back(uri);
    } else if (IsUsable(uri, /*ascii_only=*/true)) {
      principal.names.push_back(absl::StrCat("uri:", uri));
    }
  }
}

}  // namespace

std::string SocketName(absl::string_view path) {
  return absl::StrCat("socket:", path);
}

bool IsSpiffeId(absl::string_view uri) {
  if (uri.size() > kMaxSpiffeIdBytes || !absl::ConsumePrefix(&uri, kSpiffe)) {
    return false;
  }
  const size_t slash = uri.find('/');
  if (slash == 0 || slash == absl::string_view::npos) return false;
  const absl::string_view domain = uri.substr(0, slash);
  if (domain.size() > kMaxTrustDomainBytes ||
      !std::all_of(domain.begin(), domain.end(), IsTrustDomainCharacter)) {
    return false;
  }
  for (const absl::string_view segment :
       absl::StrSplit(uri.substr(slash + 1), '/')) {
    if (segment.empty() || segment == "." || segment == ".." ||
        !std::all_of(segment.begin(), segment.end(), IsPathCharacter)) {
      return false;
    }
  }
  return true;
}

Principal PrincipalOf(const CertificateNames& names) {
  Principal principal{.certified = true};
  AddUris(names.uris, principal);
  for (const std::string& name : names.dns) {
    if (!IsUsable(name, /*ascii_only=*/true)) continue;
    principal.names.push_back(
        absl::StrCat("dns:", absl::AsciiStrToLower(name)));
  }
  for (const std::string& name : names.common_names) {
    if (!IsUsable(name, /*ascii_only=*/false)) continue;
    principal.names.push_back(absl::StrCat("cn:", name));
  }
  if (principal.names.size() > kMaxNames) principal.names.resize(kMaxNames);
  if (principal.names.empty()) principal.names.emplace_back(kUnnamed);
  return principal;
}

CertificateNames NamesInCertificate(const grpc::AuthContext& context) {
  CertificateNames names;
  for (const auto& [key, value] : context) {
    const absl::string_view property(key.data(), key.size());
    std::vector<std::string>* const list =
        property == GRPC_PEER_URI_PROPERTY_NAME   ? &names.uris
        : property == GRPC_PEER_DNS_PROPERTY_NAME ? &names.dns
        : property == GRPC_X509_CN_PROPERTY_NAME  ? &names.common_names
                                                  : nullptr;
    if (list != nullptr) list->emplace_back(value.data(), value.size());
  }
  return names;
}

std::string EncodePrincipal(const Principal& principal) {
  return absl::StrCat(
      std::string(1, principal.certified ? kCertified : kLocal),
      absl::StrJoin(principal.names, std::string(1, kSeparator)));
}

Principal DecodePrincipal(absl::string_view text) {
  return {.names = absl::StrSplit(text.substr(1), kSeparator),
          .certified = text[0] == kCertified};
}

}  // namespace nfmeter::security
