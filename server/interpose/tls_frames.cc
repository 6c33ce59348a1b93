// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/tls_frames.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "interpose/connections.h"
#include "interpose/frame_guard.h"
#include "security/access/certificate_names.h"

namespace nfmeter::interpose {
namespace {

using Verdict = FrameGuard::Verdict;

std::string NameOf(const SSL* connection) {
  X509* const certificate = SSL_get1_peer_certificate(connection);
  security::CertificateNames names;
  if (certificate != nullptr) names = security::NamesIn(*certificate);
  X509_free(certificate);
  return security::PrincipalOf(names).name();
}

// What is remembered of a connection, as long as OpenSSL has it.
class TlsConnection {
 public:
  explicit TlsConnection(const SSL* connection)
      : principal_(NameOf(connection)),
        guard_(Connections::All().NewGuard(principal_)),
        dropped_(!Connections::All().MayConnect(principal_)) {}

  ~TlsConnection() {
    absl::MutexLock lock(&mutex_);
    if (!dropped_) Judge(guard_->AtEnd());
  }

  bool Received(absl::Span<const uint8_t> bytes) {
    absl::MutexLock lock(&mutex_);
    if (!dropped_) Judge(guard_->FromClient(bytes));
    return !dropped_;
  }

  void Sent(absl::Span<const uint8_t> bytes) {
    absl::MutexLock lock(&mutex_);
    if (!dropped_) Judge(guard_->FromServer(bytes));
  }

 private:
  void Judge(Verdict verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (verdict == Verdict::kFine) return;
    dropped_ = true;
    Connections::All().NoteOffence(verdict, principal_, principal_);
  }

  const std::string principal_;
  absl::Mutex mutex_;
  const std::unique_ptr<FrameGuard> guard_ ABSL_PT_GUARDED_BY(mutex_);
  bool dropped_ ABSL_GUARDED_BY(mutex_);
};

void Free(void* /*parent*/, void* connection, CRYPTO_EX_DATA* /*data*/,
          int /*index*/, long /*unused*/, void* /*unused*/) {
  delete static_cast<TlsConnection*>(connection);
}

// Null: nothing is guarded.
TlsConnection* ConnectionOf(SSL* connection) {
  static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, Free);
  if (!Connections::All().guards() || SSL_is_server(connection) == 0) {
    return nullptr;
  }
  auto* found = static_cast<TlsConnection*>(SSL_get_ex_data(connection, index));
  if (found == nullptr) {
    found = new TlsConnection(connection);
    SSL_set_ex_data(connection, index, found);
  }
  return found;
}

absl::Span<const uint8_t> Bytes(const void* bytes, size_t size) {
  return {static_cast<const uint8_t*>(bytes), size};
}

}  // namespace

bool TlsReceived(SSL* connection, const void* bytes, size_t size) {
  TlsConnection* const found = ConnectionOf(connection);
  if (found == nullptr || found->Received(Bytes(bytes, size))) return true;
  ERR_raise(ERR_LIB_USER, ERR_R_OPERATION_FAIL);
  return false;
}

void TlsSent(SSL* connection, const void* bytes, size_t size) {
  TlsConnection* const found = ConnectionOf(connection);
  if (found != nullptr) found->Sent(Bytes(bytes, size));
}

}  // namespace nfmeter::interpose
