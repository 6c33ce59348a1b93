// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/trace_context.h"

#include "gmock/gmock.h"

namespace nfmeter::telemetry {
namespace {

constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kSpanId[] = "b7ad6b7169203331";

TEST(TraceContextTest, TraceAndSpanAreReadFromAWellFormedHeader) {
  // The second is of a version to come, which may have more.
  for (const char* header :
       {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more"}) {
    const TraceContext trace = ParseTraceParent(header);
    EXPECT_EQ(trace.trace_id, kTraceId) << header;
    EXPECT_EQ(trace.span_id, kSpanId) << header;
  }
}

TEST(TraceContextTest, WhatDoesNotFollowTheStandardIsNoTrace) {
  for (const char* header : {
           "",
           "00-trace",
           "00-abc-def-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c8031\"}-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
       }) {
    const TraceContext trace = ParseTraceParent(header);
    EXPECT_EQ(trace.trace_id, "") << header;
    EXPECT_EQ(trace.span_id, "") << header;
  }
}

}  // namespace
}  // namespace nfmeter::telemetry
