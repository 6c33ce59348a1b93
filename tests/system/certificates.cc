// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/system/certificates.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <fstream>

#include "gtest/gtest.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
Certificates::Certificates() {
  MakeAuthority("ca");
  Issue("server", {.alternative_names = "DNS:localhost,IP:127.0.0.1"});
}

void Certificates::OpenSsl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), "openssl");
  const RunResult run = Run(arguments);
  ASSERT_EQ(run.exit_code, 0) << run.err;
}

void Certificates::MakeKey(const std::string& name) const {
  OpenSsl({"genpkey", "-algorithm", "EC", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-out", Key(name)});
}

void Certificates::MakeAuthority(const std::string& name) {
  MakeKey(name);
  OpenSsl({"req", "-x509", "-key", Key(name), "-days", "2", "-subj",
           "/CN=" + name, "-out", Certificate(name)});
}

void Certificates::Issue(const std::string& name, const Issued& issued) {
  const std::string request = dir_ / (name + ".csr");
  const std::string extensions = dir_ / (name + ".ext");
  const std::string subject =
      issued.subject.empty() ? "/CN=" + name : issued.subject;
  MakeKey(name);
  OpenSsl({"req", "-new", "-utf8", "-key", Key(name), "-subj", subject, "-out",
           request});
  std::ofstream(extensions)
      << "basicConstraints=CA:FALSE\n"
      << (issued.alternative_names.empty()
              ? ""
              : "subjectAltName=" + issued.alternative_names + "\n");
  if (issued.not_before.empty() && issued.not_after.empty()) {
    OpenSsl({"x509", "-req", "-in", request, "-CA",
             Certificate(issued.authority), "-CAkey", Key(issued.authority),
             "-CAcreateserial", "-days", issued.days, "-extfile", extensions,
             "-out", Certificate(name)});
    return;
  }
  // Only "openssl ca" takes times.
  std::ofstream(dir_ / "ca.index").flush();
  std::ofstream(dir_ / "ca.config")
      << "[ca]\ndefault_ca=x\n[x]\ndatabase=" << dir_ / "ca.index"
      << "\nnew_certs_dir=" << dir_.path()
      << "\ndefault_md=sha256\nrand_serial=yes\npolicy=p\n[p]\n"
         "commonName=supplied\n";
  std::vector<std::string> words = {"ca",
                                    "-batch",
                                    "-config",
                                    dir_ / "ca.config",
                                    "-in",
                                    request,
                                    "-cert",
                                    Certificate(issued.authority),
                                    "-keyfile",
                                    Key(issued.authority),
                                    "-extfile",
                                    extensions,
                                    "-notext",
                                    "-out",
                                    Certificate(name)};
  if (!issued.not_before.empty()) {
    words.insert(words.end(), {"-startdate", issued.not_before});
  }
  if (issued.not_after.empty()) {
    words.insert(words.end(), {"-days", issued.days});
  } else {
    words.insert(words.end(), {"-enddate", issued.not_after});
  }
  OpenSsl(words);
}

std::vector<std::string> Certificates::ServerFlags(
    const std::string& certificate) const {
  return {"--listen",
          "tcp:127.0.0.1:0",
          "--tls-certificate",
          Certificate(certificate),
          "--tls-key",
          Key(certificate),
          "--tls-client-ca",
          Certificate("ca"),
          "--tls-reload-interval",
          "1s"};
}

std::shared_ptr<grpc::ServerCredentials> Certificates::ForServer(
    const std::string& name) const {
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = ReadFile(Certificate("ca"));
  options.pem_key_cert_pairs = {
      {ReadFile(Key(name)), ReadFile(Certificate(name))}};
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::Channel> Certificates::Connect(
    const std::string& address, const std::string& client) const {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadFile(Certificate("ca"));
  options.pem_cert_chain = ReadFile(Certificate(client));
  options.pem_private_key = ReadFile(Key(client));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options),
                                   arguments);
}

}  // namespace nfmeter::testing
