// SPDX-License-Identifier: GPL-3.0-or-later
// Authorities and certificates for tests, made by the openssl tool.
#ifndef NFMETER_TESTS_SYSTEM_CERTIFICATES_H_
#define NFMETER_TESTS_SYSTEM_CERTIFICATES_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// A folder with NAME.crt and NAME.key: at first an authority "ca", and of it
// "server" for localhost.
class Certificates {
 public:
  Certificates();

  void MakeAuthority(const std::string& name);

  struct Issued {
    std::string authority = "ca";
    std::string subject;            // empty: "/CN=" and the name
    std::string alternative_names;  // "URI:spiffe://a/b,DNS:c"; empty: none
    std::string days = "2";         // below 0: it has expired
    std::string not_before;         // "20990101000000Z"; empty: now
    std::string not_after;          // the same; empty: by `days`
  };
  void Issue(const std::string& name, const Issued& issued);
  void Issue(const std::string& name) { Issue(name, Issued()); }

  std::string Certificate(const std::string& name) const {
    return dir_ / (name + ".crt");
  }
  std::string Key(const std::string& name) const {
    return dir_ / (name + ".key");
  }
  const TemporaryDirectory& dir() const { return dir_; }

  // Flags of an nfmeterd that listens on 127.0.0.1 with mutual TLS and looks at
  // its files each second.
  std::vector<std::string> ServerFlags(
      const std::string& certificate = "server") const;

  // For a server in this process, which asks clients for a certificate of "ca".
  std::shared_ptr<grpc::ServerCredentials> ForServer(
      const std::string& name) const;

  // A new connection as the client of that name; one without a certificate
  // where there is none.
  std::shared_ptr<grpc::Channel> Connect(const std::string& address,
                                         const std::string& client) const;

 private:
  void OpenSsl(std::vector<std::string> arguments) const;
  void MakeKey(const std::string& name) const;

  TemporaryDirectory dir_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_CERTIFICATES_H_
