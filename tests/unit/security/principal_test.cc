// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/principal.h"

#include <string>

#include "gmock/gmock.h"

namespace nfmeter::security {
namespace {

using ::testing::ElementsAre;

TEST(SpiffeIdTest, FormsOfTheStandard) {
  for (const char* id : {"spiffe://example.org/controller",
                         "spiffe://e-x_1.org/ns/a/sa/B.c", "spiffe://a/b"}) {
    EXPECT_TRUE(IsSpiffeId(id)) << id;
  }
  for (const std::string& id :
       {std::string("spiffe://example.org"), std::string("spiffe://"),
        std::string("spiffe:///path"), std::string("spiffe://example.org/"),
        std::string("spiffe://Example.org/a"),
        std::string("SPIFFE://example.org/a"),
        std::string("spiffe://example.org/a?x=1"),
        std::string("spiffe://example.org/a#b"),
        std::string("spiffe://example.org/a//b"),
        std::string("spiffe://example.org/a/../b"),
        std::string("spiffe://example.org/./a"),
        std::string("spiffe://example.org:80/a"),
        std::string("spiffe://user@example.org/a"),
        std::string("spiffe://example.org/a%41"),
        std::string("spiffe://example.org/a b"),
        std::string("https://example.org/a"), std::string(""),
        "spiffe://" + std::string(256, 'a') + "/b",
        "spiffe://a/" + std::string(2048, 'b')}) {
    EXPECT_FALSE(IsSpiffeId(id)) << id;
  }
}

TEST(PrincipalTest, TheSpiffeIdComesFirstAndTheCommonNameLast) {
  const Principal principal =
      PrincipalOf({.uris = {"spiffe://example.org/a"},
                   .dns = {"Host.Example.org", "b.example"},
                   .common_names = {"Zoë"}});
  EXPECT_TRUE(principal.certified);
  EXPECT_EQ(principal.name(), "spiffe://example.org/a");
  EXPECT_THAT(principal.names,
              ElementsAre("spiffe://example.org/a", "dns:host.example.org",
                          "dns:b.example", "cn:Zoë"));
}

TEST(PrincipalTest, AMalformedSpiffeIdIsNoNameInAnyForm) {
  EXPECT_THAT(
      PrincipalOf({.uris = {"spiffe://Example.org/a"}, .dns = {"d"}}).names,
      ElementsAre("dns:d"));
  EXPECT_THAT(
      PrincipalOf({.uris = {"Spiffe://x/a"}, .common_names = {"c"}}).names,
      ElementsAre("cn:c"));
}

TEST(PrincipalTest, ASpiffeIdBesideAnotherUriIsNoName) {
  EXPECT_THAT(PrincipalOf({.uris = {"spiffe://a/b", "https://x/y"}}).names,
              ElementsAre("uri:https://x/y"));
  EXPECT_THAT(PrincipalOf({.uris = {"spiffe://a/b", "spiffe://a/c"},
                           .common_names = {"c"}})
                  .names,
              ElementsAre("cn:c"));
}

TEST(PrincipalTest, NamesThatNobodyCanSeeAreLeftOut) {
  EXPECT_THAT(PrincipalOf({.uris = {std::string("urn:a\0b", 7)},
                           .dns = {"a\nb", "", "ok", "b\xc3\xa9"},
                           .common_names = {std::string("x\0y", 3)}})
                  .names,
              ElementsAre("dns:ok"));
}

TEST(PrincipalTest, ACertificateWithoutNamesIsStillOne) {
  const Principal principal = PrincipalOf({});
  EXPECT_THAT(principal.names, ElementsAre("certificate"));
  EXPECT_TRUE(principal.certified);
}

TEST(PrincipalTest, NamesAreBounded) {
  EXPECT_EQ(
      PrincipalOf({.dns = std::vector<std::string>(5000, "a")}).names.size(),
      64u);
}

TEST(PrincipalTest, IsReadAsItWasWritten) {
  for (const Principal& principal :
       {PrincipalOf({.dns = {"a", "b"}, .common_names = {"c d"}}),
        Principal{.names = {"socket:/run/a b\n.sock"}}}) {
    EXPECT_EQ(DecodePrincipal(EncodePrincipal(principal)), principal);
  }
}

}  // namespace
}  // namespace nfmeter::security
