// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/client_loads.h"

namespace nfmeter::interpose {

ClientLoads::Client::~Client() {
  absl::MutexLock lock(&all_.mutex_);
  const auto found = all_.clients_.find(name_);
  // Another of the same name may have come meanwhile.
  if (found != all_.clients_.end() && found->second.expired()) {
    all_.clients_.erase(found);
  }
}

void ClientLoads::Client::Open() {
  ++all_.calls_;
  if (calls_++ == 0) ++all_.active_clients_;
}

void ClientLoads::Client::Receive(size_t request_bytes) {
  request_bytes_ += request_bytes;
  all_.request_bytes_ += request_bytes;
}

void ClientLoads::Client::Release(size_t request_bytes) {
  request_bytes_ -= request_bytes;
  all_.request_bytes_ -= request_bytes;
}

void ClientLoads::Client::Close() {
  --all_.calls_;
  if (--calls_ == 0) --all_.active_clients_;
}

bool ClientLoads::Client::HasTooManyCalls() const {
  return all_.IsOverShare(calls_, all_.calls_, all_.limits_.max_calls);
}

bool ClientLoads::Client::HasTooManyBytes() const {
  return all_.IsOverShare(request_bytes_, all_.request_bytes_,
                          all_.limits_.max_request_bytes);
}

std::shared_ptr<ClientLoads::Client> ClientLoads::Of(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  std::weak_ptr<Client>& known = clients_[name];
  std::shared_ptr<Client> client = known.lock();
  if (client == nullptr) {
    client = std::make_shared<Client>(*this, name);
    known = client;
  }
  return client;
}

bool ClientLoads::IsOverShare(size_t own, size_t all, size_t limit) const {
  return all > limit && own * active_clients_ > limit;
}

}  // namespace nfmeter::interpose
