// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/column_wire.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

struct Decoded {
  absl::Status status;
  std::vector<uint32_t> ids;
  std::vector<uint64_t> packets;
  std::vector<uint64_t> bytes;
  std::vector<uint64_t> total_packets;
  std::vector<uint64_t> total_bytes;
  ColumnExtras extras;
  v1::SnapshotFrame frame;
};

Decoded Decode(absl::string_view wire) {
  Decoded decoded;
  decoded.status = DecodeChunk(wire,
                               {.ids = &decoded.ids,
                                .packets = &decoded.packets,
                                .bytes = &decoded.bytes,
                                .total_packets = &decoded.total_packets,
                                .total_bytes = &decoded.total_bytes},
                               &decoded.extras, &decoded.frame);
  return decoded;
}

TEST(ColumnWireTest, ReadsWhatTheGeneratedCodeWrites) {
  std::mt19937_64 random(20260101);
  // Any number of bits, so that varints of all lengths come about.
  const auto number = [&] { return random() >> (random() % 64); };
  for (int round = 0; round < 500; ++round) {
    v1::GetSnapshotResponse response;
    v1::SnapshotFrame& frame = *response.mutable_frame();
    frame.set_epoch(number());
    frame.set_sequence(number());
    frame.mutable_boottime()->set_nanos(5);
    frame.set_complete(true);
    v1::SnapshotColumns& columns = *frame.mutable_columns();
    for (uint64_t i = random() % 40; i > 0; --i) {
      columns.add_ids(static_cast<uint32_t>(number()));
      columns.add_packets(number());
      columns.add_bytes(number());
      columns.add_total_packets(number());
      columns.add_total_bytes(number());
      if (i % 3 == 0) columns.add_exceeded_ids(i);
      if (i % 5 == 0) columns.add_new_ids(i);
      if (i % 7 == 0) columns.add_removed_ids(i);
      columns.mutable_new_names()->append("name\n");
    }
    for (uint64_t i = random() % 3; i > 0; --i) {
      v1::LabelColumn& label = *columns.add_labels();
      label.set_key(std::string(random() % 200, 'k'));
      for (int j = 0; j < columns.ids_size(); ++j) {
        label.add_values(std::string(random() % 4, 'v'));
      }
    }
    const std::string wire = response.SerializeAsString();
    const Decoded decoded = Decode(wire);
    ASSERT_OK(decoded.status);
    EXPECT_THAT(decoded.ids, ElementsAreArray(columns.ids()));
    EXPECT_THAT(decoded.packets, ElementsAreArray(columns.packets()));
    EXPECT_THAT(decoded.bytes, ElementsAreArray(columns.bytes()));
    EXPECT_THAT(decoded.extras.exceeded_ids,
                ElementsAreArray(columns.exceeded_ids()));
    EXPECT_THAT(decoded.extras.new_ids, ElementsAreArray(columns.new_ids()));
    EXPECT_EQ(decoded.extras.new_names, columns.new_names());
    EXPECT_THAT(decoded.total_packets,
                ElementsAreArray(columns.total_packets()));
    EXPECT_THAT(decoded.total_bytes, ElementsAreArray(columns.total_bytes()));
    ASSERT_EQ(static_cast<int>(decoded.extras.labels.size()),
              columns.labels_size());
    for (int i = 0; i < columns.labels_size(); ++i) {
      EXPECT_EQ(decoded.extras.labels[i].key, columns.labels(i).key());
      EXPECT_THAT(decoded.extras.labels[i].values,
                  ElementsAreArray(columns.labels(i).values()));
    }
    frame.clear_columns();
    EXPECT_EQ(decoded.frame.SerializeAsString(), frame.SerializeAsString());
  }
}

// One message inside another, as a field of `tag`.
std::string Wrap(char tag, const std::string& message) {
  return std::string(1, tag) + static_cast<char>(message.size()) + message;
}
std::string Columns(const std::string& columns) {
  return Wrap(0x0a, Wrap(0x6a, columns));  // frame = 1, columns = 13
}

TEST(ColumnWireTest, NumbersNeedNotBePackedAndUnknownFieldsAreSkipped) {
  using namespace std::string_literals;
  const Decoded decoded =
      Decode(Columns("\x08\x05\x08\x06"s  // ids: 5, ids: 6, one by one
                     "\xf8\x01\x07"s      // field 31, a varint
                     "\xfa\x01\x02xy"s    // field 31, bytes
                     "\xfd\x01"
                     "1234"s  // field 31, four bytes
                     "\xf9\x01"
                     "12345678"s         // field 31, eight bytes
                     "\x0a\x01\x07"s));  // ids: [7]
  ASSERT_OK(decoded.status);
  EXPECT_THAT(decoded.ids, ElementsAre(5, 6, 7));
}

TEST(ColumnWireTest, MalformedMessagesAreDataLoss) {
  using namespace std::string_literals;
  for (const std::string& columns : {
           "\x0a"s,          // no length
           "\x0a\x05\x01"s,  // longer than the message
           "\x0a\x01\x80"s,  // a varint that does not end
           "\x12\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,  // too long
           "\x0d\x01\x02\x03\x04"s,  // ids as four bytes
           "\x0b"s,                  // a group
           "\x2d\x01\x02\x03\x04"s,  // names as four bytes
           "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,  // 2^64 - 1 bytes
           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s,      // no tag
       }) {
    EXPECT_THAT(Decode(Columns(columns)).status,
                StatusIs(absl::StatusCode::kDataLoss))
        << ::testing::PrintToString(columns);
  }
}

TEST(ColumnWireTest, RandomBytesNeverBreakTheDecoder) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<char> noise(random() % 60);
    for (char& byte : noise) byte = static_cast<char>(random());
    const std::string wire = Columns(std::string(noise.begin(), noise.end()));
    const Decoded decoded = Decode(wire);
    EXPECT_LE(decoded.ids.size(), noise.size());
  }
}

}  // namespace
}  // namespace nfmeter::client_internal
