// SPDX-License-Identifier: GPL-3.0-or-later
// What --sink may be, and what is told of it.
#include "collector/open_sink.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::collector {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

TEST(OpenSinkTest, PasswordsAreNotShown) {
  EXPECT_EQ(ShownSink("postgresql://me:secret@db/usage"),
            "postgresql://me:***@db/usage");
  EXPECT_EQ(ShownSink("nats://me:secret@a:4222,nats://me:other@b:4222"),
            "nats://me:***@a:4222,nats://me:***@b:4222");
  EXPECT_EQ(ShownSink("postgresql://db:5432/usage"),
            "postgresql://db:5432/usage");
  EXPECT_EQ(ShownSink("postgresql://db/usage?password=secret&user=me"),
            "postgresql://db/usage?password=***&user=me");
  EXPECT_EQ(ShownSink("postgresql://me@db/usage?sslpassword=se@cret"),
            "postgresql://me@db/usage?sslpassword=***");
  EXPECT_EQ(ShownSink("nats://secret@a:4222,nats://b:4222"),
            "nats://***@a:4222,nats://b:4222");
  EXPECT_EQ(ShownSink("sqlite:///var/lib/a@b.db"), "sqlite:///var/lib/a@b.db");
  // With signs that should have been escaped.
  for (const char* password : {"se,cret", "se@cret", "se?cret", "se:cret"}) {
    EXPECT_EQ(ShownSink(absl::StrCat("postgresql://me:", password,
                                     "@db1:5432,db2:5432/usage")),
              "postgresql://me:***@db1:5432,db2:5432/usage");
  }
}

// SQLite would forget what is in a file without a name.
TEST(OpenSinkTest, ASqliteFileHasAPath) {
  for (const char* url : {"sqlite:", "sqlite://"}) {
    EXPECT_THAT(OpenSink({.url = url}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("write sqlite:PATH")));
  }
}

TEST(OpenSinkTest, ACheckTellsOfAFolderThatIsNotThere) {
  EXPECT_THAT(OpenSink({.url = "sqlite:/nonexistent/usage.db",
                        .only_inspect = true,
                        .check_rights = true})
                  .status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/nonexistent can't be written: No such")));
}

TEST(OpenSinkTest, WhatIsNotThereIsToldWithItsAddress) {
  EXPECT_THAT(OpenSink({.url = "nats://me:secret@127.0.0.1:1"}).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       "nats://me:***@127.0.0.1:1: no server of NATS answers"));
  EXPECT_THAT(OpenSink({.url = "mysql://db"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("write sqlite:PATH, postgresql://")));
}

}  // namespace
}  // namespace nfmeter::collector
