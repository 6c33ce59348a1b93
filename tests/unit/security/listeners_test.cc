// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/listeners.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/self_signed.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::MakeSelfSigned;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ListenOptions On(const std::vector<std::string>& addresses) {
  ListenOptions options;
  for (const std::string& address : addresses) {
    options.listeners.push_back({.address = *ParseListenAddress(address)});
  }
  return options;
}

TEST(CheckListenersTest, UnixSocketsNeedNothing) {
  EXPECT_THAT(CheckListeners(On({"unix:/a", "unix:/b"})),
              IsOkAndHolds(IsEmpty()));
}

TEST(CheckListenersTest, TcpNeedsMutualTls) {
  EXPECT_THAT(CheckListeners(On({"0.0.0.0:1"})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on 0.0.0.0:1: TCP needs mutual TLS; "
                          "give tls certificate, key and client_ca, or use a "
                          "unix socket")));
  EXPECT_THAT(CheckListeners(On({"127.0.0.1:1"})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on 127.0.0.1:1: TCP needs mutual "
                          "TLS; give tls certificate, key and client_ca, or "
                          "--insecure-loopback to let every user of this host "
                          "in")));
}

TEST(CheckListenersTest, InsecureLoopbackIsForLoopbackOnly) {
  ListenOptions options = On({"127.0.0.1:0", "[::1]:0", "localhost:0"});
  options.insecure_loopback = true;
  EXPECT_OK(CheckListeners(options));
  options = On({"127.0.0.1:0", "0.0.0.0:1"});
  options.insecure_loopback = true;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on 0.0.0.0:1: without TLS only "
                          "loopback addresses are allowed; give tls "
                          "certificate, key and client_ca")));
}

TEST(CheckListenersTest, OverTlsThePolicyDecidesNotTheListener) {
  TemporaryDirectory dir;
  MakeSelfSigned(dir / "crt", dir / "key");
  ListenOptions options = On({"0.0.0.0:1"});
  options.tls = {dir / "crt", dir / "key", dir / "crt"};
  EXPECT_EQ(RoleOf(options, options.listeners[0]), Role::kNone);
  options.listeners[0].role = Role::kNone;
  EXPECT_OK(CheckListeners(options));
  options.listeners[0].role = Role::kViewer;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on 0.0.0.0:1: role and flows are for "
                          "unix sockets and insecure loopback; over TLS the "
                          "policy says who may do what, by certificate")));
  options.listeners[0].role = std::nullopt;
  options.listeners[0].flows = FlowAccess::kSummary;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("over TLS the policy says")));
}

TEST(CheckListenersTest, LoopbackListenersHaveOneRole) {
  ListenOptions options = On({"127.0.0.1:0", "[::1]:0"});
  options.insecure_loopback = true;
  options.listeners[1].role = Role::kViewer;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on [::1]:0: all listeners with "
                          "insecure_loopback must have the same role and "
                          "flows")));
  options.listeners[0].role = Role::kViewer;
  EXPECT_OK(CheckListeners(options));
}

// All of their callers would see what one of them shows.
TEST(CheckListenersTest, LoopbackListenersShowTheSameFlows) {
  ListenOptions options = On({"127.0.0.1:0", "[::1]:0"});
  options.insecure_loopback = true;
  options.listeners[1].flows = FlowAccess::kFull;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must have the same role and flows")));
  options.listeners[0].flows = FlowAccess::kFull;
  EXPECT_OK(CheckListeners(options));
}

TEST(CheckListenersTest, FlowsWithoutARoleAreToldOf) {
  ListenOptions options = On({"unix:/a"});
  options.listeners[0].flows = FlowAccess::kFull;
  EXPECT_THAT(CheckListeners(options), IsOkAndHolds(IsEmpty()));
  options.listeners[0].role = Role::kNone;
  EXPECT_THAT(
      CheckListeners(options),
      IsOkAndHolds(ElementsAre(HasSubstr("its flows are shown to nobody"))));
}

TEST(CheckListenersTest, OfLoopbackOnlyItsOwnAddressesServeWithoutTls) {
  ListenOptions options = On({"127.0.0.2:1"});
  options.insecure_loopback = true;
  EXPECT_THAT(CheckListeners(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on 127.0.0.2:1: without TLS only "
                          "127.0.0.1, [::1] and localhost serve")));
}

TEST(CheckListenersTest, NoAddressTwice) {
  EXPECT_THAT(CheckListeners(On({"unix:/a", "unix:/a"})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("cannot listen on unix:/a: it is listed twice")));
}

// The second would take the place of the first, and open it to others.
TEST(CheckListenersTest, NoSocketTwiceHoweverItIsWritten) {
  testing::TemporaryDirectory dir;
  std::filesystem::create_directory_symlink(dir.path(), dir / "link");
  for (const char* other : {"/./s", "//s", "/link/s", "/link/link/s"}) {
    const std::string again = absl::StrCat("unix:", dir.path(), other);
    EXPECT_THAT(CheckListeners(On({"unix:" + (dir / "s"), again})),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "cannot listen on " + again + ": it is listed twice"));
  }
  EXPECT_OK(CheckListeners(On({"unix:" + (dir / "s"), "unix:" + (dir / "t")})));
}

TEST(CheckListenersTest, TheGroupMustBeThere) {
  ListenOptions options = On({"unix:/a"});
  options.listeners[0].group = "no-such-group";
  EXPECT_THAT(CheckListeners(options), StatusIs(absl::StatusCode::kNotFound));
}

// Files made by the openssl tool.
class CheckTlsTest : public ::testing::Test {
 protected:
  CheckTlsTest() {
    MakePair("server");
    MakePair("other");
    options_ = {.certificate = dir_ / "server.crt",
                .key = dir_ / "server.key",
                .client_ca = dir_ / "other.crt"};
  }

  void MakePair(const std::string& name) {
    MakeSelfSigned(dir_ / (name + ".crt"), dir_ / (name + ".key"), name);
  }

  void ExpectWrong(const std::string& message) {
    EXPECT_THAT(CheckTls(options_),
                StatusIs(absl::StatusCode::kInvalidArgument, Eq(message)));
  }

  TemporaryDirectory dir_;
  TlsOptions options_;
};

TEST_F(CheckTlsTest, GoodFilesAreGood) {
  EXPECT_THAT(CheckTls(options_), IsOkAndHolds(IsEmpty()));
}

TEST_F(CheckTlsTest, AMissingFileIsNamedWithTheReason) {
  options_.key = dir_ / "none";
  ExpectWrong("tls.key " + options_.key +
              ": cannot be read: No such file or "
              "directory");
  options_.certificate = dir_.path();
  ExpectWrong("tls.certificate " + dir_.path() +
              ": cannot be read: it is a "
              "folder");
}

TEST_F(CheckTlsTest, FilesThatHoldSomethingElseAreNamed) {
  std::ofstream(dir_ / "text") << "hello\n";
  const TlsOptions good = options_;
  options_.client_ca = dir_ / "text";
  ExpectWrong("tls.client_ca " + options_.client_ca +
              ": holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  options_ = good;
  options_.certificate = options_.key;
  ExpectWrong("tls.certificate " + options_.key +
              ": holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  options_ = good;
  options_.key = options_.certificate;
  ExpectWrong("tls.key " + options_.certificate +
              ": holds no PEM private key, or one with a passphrase; remove "
              "it with: openssl pkey");
}

TEST_F(CheckTlsTest, AKeyWithAPassphraseIsRefusedAndNobodyIsAsked) {
  const auto made = ::nfmeter::testing::Run(
      {"openssl", "pkey", "-in", options_.key, "-aes256", "-passout",
       "pass:secret", "-out", dir_ / "locked.key"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  options_.key = dir_ / "locked.key";
  ExpectWrong("tls.key " + options_.key +
              ": holds no PEM private key, or one with a passphrase; remove "
              "it with: openssl pkey");
}

TEST_F(CheckTlsTest, TheKeyMustBeTheCertificates) {
  options_.key = dir_ / "other.key";
  ExpectWrong("tls.key " + options_.key + ": is not the key of " +
              options_.certificate);
}

TEST_F(CheckTlsTest, AKeyThatEverybodyCanReadIsUsableButToldOf) {
  ASSERT_EQ(chmod(options_.key.c_str(), 0644), 0);
  EXPECT_THAT(CheckTls(options_),
              IsOkAndHolds(ElementsAre(
                  options_.key + " can be read by every user of this host; "
                                 "close it with: chmod 0640")));
}

TEST_F(CheckTlsTest, AnAuthorityThatIsNoneIsToldOf) {
  const auto made = ::nfmeter::testing::Run(
      {"openssl", "req", "-x509", "-key", options_.key, "-subj", "/CN=leaf",
       "-addext", "basicConstraints=critical,CA:FALSE", "-out",
       dir_ / "leaf.crt"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  options_.client_ca = dir_ / "leaf.crt";
  EXPECT_THAT(CheckTls(options_),
              IsOkAndHolds(ElementsAre(
                  options_.client_ca +
                  " is not an authority's certificate: no client's can be "
                  "verified with it")));
}

TEST_F(CheckTlsTest, AnExpiredCertificateIsUsableButToldOf) {
  const auto request = ::nfmeter::testing::Run(
      {"openssl", "req", "-new", "-key", options_.key, "-subj", "/CN=old"});
  ASSERT_EQ(request.exit_code, 0) << request.err;
  const auto made = ::nfmeter::testing::Run(
      {"openssl", "x509", "-req", "-signkey", options_.key, "-days", "-1",
       "-out", dir_ / "old.crt"},
      request.out);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  options_.certificate = dir_ / "old.crt";
  EXPECT_THAT(CheckTls(options_),
              IsOkAndHolds(ElementsAre(options_.certificate + " has expired")));
}

}  // namespace
}  // namespace nfmeter::security
