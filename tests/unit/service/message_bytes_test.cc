// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/message_bytes.h"

#include <string>

#include "gmock/gmock.h"
#include "nfmeter/v1/counter.pb.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::nfmeter::testing::HasReason;

grpc::ByteBuffer BytesOf(const std::string& text, size_t slice_size) {
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < text.size(); i += slice_size) {
    slices.emplace_back(text.substr(i, slice_size));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

TEST(MessageBytesTest, AMessageIsReadFromAnyNumberOfSlices) {
  v1::GetCounterRequest request;
  request.set_name("http-traffic");
  const std::string wire = request.SerializeAsString();
  for (size_t slice_size = 1; slice_size <= wire.size(); ++slice_size) {
    v1::GetCounterRequest read;
    ASSERT_OK(ParseMessage(BytesOf(wire, slice_size), &read));
    EXPECT_EQ(read.name(), "http-traffic");
  }
}

TEST(MessageBytesTest, NoBytesAreAnEmptyMessage) {
  const grpc::Slice empty;
  v1::GetCounterRequest read;
  EXPECT_OK(ParseMessage(grpc::ByteBuffer(&empty, 1), &read));
}

TEST(MessageBytesTest, OtherBytesAreRefused) {
  v1::GetCounterRequest read;
  EXPECT_THAT(ParseMessage(BytesOf("\xff\xff\xff\xff garbage", 4), &read),
              HasReason("MALFORMED_REQUEST"));
  EXPECT_THAT(ParseMessage(grpc::ByteBuffer(), &read),
              HasReason("MALFORMED_REQUEST"));
}

TEST(MessageBytesTest, WhatIsWrittenCanBeReadAndReadAgain) {
  v1::GetCounterRequest request;
  request.set_name(std::string(10'000, 'x'));
  grpc::ByteBuffer bytes;
  ASSERT_OK(WriteMessage(request, &bytes));
  for (int i = 0; i < 2; ++i) {
    v1::GetCounterRequest read;
    ASSERT_OK(ParseMessage(bytes, &read));
    EXPECT_EQ(read.name(), request.name());
  }
}

}  // namespace
}  // namespace nfmeter::service
