// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/certificate_names.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace nfmeter::security {
namespace {

struct OpenSslDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpenSslDeleter>;

// The bytes as they are in the certificate.
std::string TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

void ReadCommonName(const X509& certificate, CertificateNames& names) {
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  // Only the first, as gRPC does.
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return;
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(
      &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (size < 0) return;
  names.common_names.emplace_back(reinterpret_cast<char*>(utf8),
                                  static_cast<size_t>(size));
  OPENSSL_free(utf8);
}

void ReadAlternativeNames(const X509& certificate, CertificateNames& names) {
  const Owned<GENERAL_NAMES> listed(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (listed == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(listed.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(listed.get(), i);
    if (name->type == GEN_URI) {
      names.uris.push_back(TextOf(name->d.uniformResourceIdentifier));
    } else if (name->type == GEN_DNS) {
      names.dns.push_back(TextOf(name->d.dNSName));
    }
  }
}

}  // namespace

CertificateNames NamesIn(const X509& certificate) {
  CertificateNames names;
  ReadCommonName(certificate, names);
  ReadAlternativeNames(certificate, names);
  ERR_clear_error();
  return names;
}

absl::StatusOr<CertificateNames> NamesInDer(absl::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const Owned<X509> certificate(
      d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
  if (certificate != nullptr) return NamesIn(*certificate);
  ERR_clear_error();
  return absl::InvalidArgumentError("this is no certificate");
}

}  // namespace nfmeter::security
