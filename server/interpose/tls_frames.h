// SPDX-License-Identifier: GPL-3.0-or-later
// The frames in connections over TLS.
#ifndef NFMETER_INTERPOSE_TLS_FRAMES_H_
#define NFMETER_INTERPOSE_TLS_FRAMES_H_

#include <openssl/ssl.h>

#include <cstddef>

namespace nfmeter::interpose {

// What a connection has received, decrypted. False: it has to go; then
// SSL_get_error() says SSL_ERROR_SSL to whoever returns -1 for it. Thread-safe;
// shows Connections::All() to what they see.
bool TlsReceived(SSL* connection, const void* bytes, size_t size);

// What it has sent, before it was encrypted.
void TlsSent(SSL* connection, const void* bytes, size_t size);

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_TLS_FRAMES_H_
