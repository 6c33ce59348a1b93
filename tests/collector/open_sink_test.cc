// SPDX-License-Identifier: GPL-3.0-or-later
// What --sink may be, and what is told of it.
#include "collector/open_sink.h"

#include <string>

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
