// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/record.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// The first byte of each form.
enum Form : uint64_t {
  kRecord = 0x11,
  kCheckpoint = 0x21,
  kBucket = 0x31,
  kBucketWithPeaks = 0x32,
};

class Writer {
 public:
  explicit Writer(Form form, size_t rows, size_t bytes_each) {
    bytes_.reserve(16 + rows * bytes_each);
    Add(form);
    Add(rows);
  }

  void Add(uint64_t number) {
    while (number >= 0x80) {
      bytes_.push_back(static_cast<char>(number | 0x80));
      number >>= 7;
    }
    bytes_.push_back(static_cast<char>(number));
  }
  void Add(const Amount& amount) {
    Add(amount.packets);
    Add(amount.bytes);
  }
  // Accounts come in increasing order.
  void AddAccount(uint64_t account) {
    Add(account - last_account_);
    last_account_ = account;
  }
  void RestartAccounts() { last_account_ = 0; }

  std::string Finish() { return std::move(bytes_); }

 private:
  std::string bytes_;
  uint64_t last_account_ = 0;
};

// Bound of the time between two readings; no clock runs for so long.
constexpr uint64_t kMostMilliseconds = uint64_t{1} << 53;

// After the first thing that is wrong, all reads give 0.
class Reader {
 public:
  explicit Reader(absl::string_view bytes)
      : next_(reinterpret_cast<const uint8_t*>(bytes.data())),
        end_(next_ + bytes.size()) {}

  uint64_t Number() {
    uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (next_ == end_) return Fail();
      const uint64_t byte = *next_++;
      number |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        // The tenth byte has room for one bit; and the shortest form only.
        const bool over = shift == 63 && byte > 1;
        const bool padded = shift > 0 && byte == 0;
        return over || padded ? Fail() : number;
      }
    }
    return Fail();
  }
  uint64_t NumberUpTo(uint64_t most) {
    const uint64_t number = Number();
    return number > most ? Fail() : number;
  }
  Amount ReadAmount() {
    const uint64_t packets = Number();
    return {packets, Number()};
  }
  uint64_t Account() {
    const uint64_t step = Number();
    if (step == 0 || last_account_ + step < step) return Fail();
    return last_account_ += step;
  }
  void RestartAccounts() { last_account_ = 0; }

  // How many items follow, each of at least `bytes_each` bytes.
  size_t Count(size_t bytes_each) {
    const uint64_t count = Number();
    return count > static_cast<size_t>(end_ - next_) / bytes_each ? Fail()
                                                                  : count;
  }
  void Expect(uint64_t number) {
    if (Number() != number) Fail();
  }

  bool ok() const { return ok_; }
  absl::Status Finish(absl::string_view what) const {
    if (ok_ && next_ == end_) return absl::OkStatus();
    return MakeError(absl::StatusCode::kDataLoss, "LEDGER_DAMAGED",
                     absl::StrCat("a ", what,
                                  " of the ledger has bytes that are not "
                                  "nfmeter's: its file is damaged"));
  }

 private:
  uint64_t Fail() {
    ok_ = false;
    next_ = end_;
    return 0;
  }

  const uint8_t* next_;
  const uint8_t* const end_;
  uint64_t last_account_ = 0;
  bool ok_ = true;
};

}  // namespace

std::string Encode(const Record& record) {
  Writer writer(kRecord, record.rows.size(), 8);
  for (const Record::Row& row : record.rows) {
    writer.AddAccount(row.account);
    writer.Add(row.delta);
  }
  writer.Add(record.accounts.size());
  writer.RestartAccounts();
  for (const uint64_t account : record.accounts) writer.AddAccount(account);
  writer.Add(record.gaps);
  writer.Add(static_cast<uint64_t>(std::clamp<int64_t>(
      absl::ToInt64Milliseconds(record.since_reading), 0, kMostMilliseconds)));
  return writer.Finish();
}

absl::StatusOr<Record> DecodeRecord(absl::string_view bytes) {
  Reader reader(bytes);
  reader.Expect(kRecord);
  Record record;
  record.rows.resize(reader.Count(3));
  for (Record::Row& row : record.rows) {
    row.account = reader.Account();
    row.delta = reader.ReadAmount();
  }
  record.accounts.resize(reader.Count(1));
  reader.RestartAccounts();
  for (uint64_t& account : record.accounts) account = reader.Account();
  record.gaps = static_cast<uint32_t>(
      reader.NumberUpTo(std::numeric_limits<uint32_t>::max()));
  record.since_reading = absl::Milliseconds(
      static_cast<int64_t>(reader.NumberUpTo(kMostMilliseconds)));
  NFM_RETURN_IF_ERROR(reader.Finish("record"));
  return record;
}

std::string Encode(const Checkpoint& checkpoint) {
  Writer writer(kCheckpoint, checkpoint.rows.size(), 12);
  for (const Checkpoint::Row& row : checkpoint.rows) {
    writer.AddAccount(row.account);
    writer.Add(row.total);
  }
  return writer.Finish();
}

absl::StatusOr<Checkpoint> DecodeCheckpoint(absl::string_view bytes) {
  Reader reader(bytes);
  reader.Expect(kCheckpoint);
  Checkpoint checkpoint;
  checkpoint.rows.resize(reader.Count(3));
  for (Checkpoint::Row& row : checkpoint.rows) {
    row.account = reader.Account();
    row.total = reader.ReadAmount();
  }
  NFM_RETURN_IF_ERROR(reader.Finish("checkpoint"));
  return checkpoint;
}

std::string Encode(const Bucket& bucket, bool with_peaks) {
  Writer writer(with_peaks ? kBucketWithPeaks : kBucket, bucket.rows.size(),
                with_peaks ? 16 : 10);
  for (const Bucket::Row& row : bucket.rows) {
    writer.AddAccount(row.account);
    writer.Add(row.sum);
    if (with_peaks) writer.Add(row.peak);
  }
  return writer.Finish();
}

absl::StatusOr<Bucket> DecodeBucket(absl::string_view bytes, bool with_peaks) {
  Reader reader(bytes);
  reader.Expect(with_peaks ? kBucketWithPeaks : kBucket);
  Bucket bucket;
  bucket.rows.resize(reader.Count(with_peaks ? 5 : 3));
  for (Bucket::Row& row : bucket.rows) {
    row.account = reader.Account();
    row.sum = reader.ReadAmount();
    row.peak = with_peaks ? reader.ReadAmount() : row.sum;
  }
  NFM_RETURN_IF_ERROR(reader.Finish("bucket"));
  return bucket;
}

}  // namespace nfmeter::accounting
