// SPDX-License-Identifier: Apache-2.0
// Batches larger than the server takes at once.
#ifndef NFMETER_CLIENT_SRC_BATCH_H_
#define NFMETER_CLIENT_SRC_BATCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/src/connection.h"
#include "client/src/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// Items first to last - 1 of a batch.
struct BatchPart {
  size_t first;
  size_t last;
};

// Consecutive parts of `count` items, none of more than the limits, unless one
// item alone is. size_of(i) is the i-th item's encoded size. One empty part for
// an empty batch.
std::vector<BatchPart> SplitBatch(size_t count,
                                  absl::FunctionRef<size_t(size_t)> size_of,
                                  const Connection::BatchLimits& limits);

inline size_t EncodedSize(const std::string& item) { return item.size(); }
template <typename Message>
size_t EncodedSize(const Message& item) {
  return item.ByteSizeLong();
}

// Below both, a batch is sent without asking for the server's limits.
inline constexpr size_t kSmallBatchItems = 100;
inline constexpr size_t kSmallBatchBytes = 256 << 10;
// In a message, what goes along with each item and with all of them.
inline constexpr size_t kItemOverhead = 8;
inline constexpr size_t kRequestOverhead = 1 << 10;

// Items of a part when the kernel takes long for each and the server promises
// nothing for the batch as a whole: the timeout is that of a part, and a late
// error leaves the answers of the others.
inline constexpr size_t kSlowPartItems = 2000;

// `options` for a part of so many items. A caller who names no timeout does not
// mean it for ten thousand of them.
inline CallOptions PartOptions(const Connection& connection,
                               CallOptions options, size_t items) {
  if (options.timeout == absl::ZeroDuration()) {
    options.timeout = connection.options().timeout + items * kBatchItemTime;
  }
  return options;
}

// The parts that `items` have to be sent in, none of more than `max_items`.
template <typename Item>
std::vector<BatchPart> PlanBatch(
    Connection& connection,
    const google::protobuf::RepeatedPtrField<Item>& items,
    const CallOptions& options, size_t max_items) {
  const auto size_of = [&](size_t i) { return EncodedSize(items[i]); };
  const size_t count = items.size();
  if (SplitBatch(count, size_of, {kSmallBatchItems, kSmallBatchBytes}).size() ==
      1) {
    return {{0, count}};
  }
  Connection::BatchLimits limits = connection.GetBatchLimits(options);
  limits.max_items = std::min(limits.max_items, max_items);
  return SplitBatch(count, size_of, limits);
}

// The server speaks of the part that it was sent: "nothing was changed" is true
// of that alone.
inline std::string ProgressSentence(const absl::Status& status, size_t done,
                                    size_t total) {
  return absl::StrCat(
      absl::StrReplaceAll(
          status.message(),
          {{"nothing was changed", "nothing was changed from there on"}}),
      " (a batch of this size is sent in parts: the first ", done, " of ",
      total, " items have been carried out and stay)");
}

// Sends `request` in as many parts as needed, see PlanBatch. `call` sends one
// part, with the options that it is given; `merge` takes the answer of a part
// that begins at an offset; `fail` decides what an error of a part that begins
// at an offset means, OK to stop with success.
template <typename Response, typename Request, typename Item>
absl::Status SendBatch(
    Connection& connection, Request request,
    google::protobuf::RepeatedPtrField<Item>* (Request::*mutable_items)(),
    std::type_identity_t<absl::FunctionRef<
        absl::StatusOr<Response>(const Request&, const CallOptions&)>>
        call,
    const CallOptions& options, const BatchProgress& progress,
    std::type_identity_t<absl::FunctionRef<void(Response, size_t)>> merge,
    std::type_identity_t<absl::FunctionRef<absl::Status(absl::Status, size_t)>>
        fail,
    size_t max_items = SIZE_MAX) {
  constexpr bool kIsChange = requires { request.request_id(); };
  const std::vector<BatchPart> parts =
      PlanBatch(connection, *(request.*mutable_items)(), options, max_items);
  const size_t total = parts.back().last;
  google::protobuf::RepeatedPtrField<Item> items;
  std::string request_id;
  if (parts.size() > 1) {
    items.Swap((request.*mutable_items)());
    if constexpr (kIsChange) {
      request_id = request.request_id().empty()
                       ? connection.environment().NewRequestId()
                       : request.request_id();
    }
  }
  for (size_t number = 0; number < parts.size(); ++number) {
    const BatchPart& part = parts[number];
    if (parts.size() > 1) {
      auto* target = (request.*mutable_items)();
      target->Clear();
      for (size_t i = part.first; i < part.last; ++i) {
        *target->Add() = std::move(items[i]);
      }
      if constexpr (kIsChange) {
        request.set_request_id(absl::StrCat(request_id, "/", number));
      }
    }
    absl::StatusOr<Response> response =
        call(request, PartOptions(connection, options, part.last - part.first));
    if (!response.ok()) return fail(response.status(), part.first);
    merge(*std::move(response), part.first);
    if (progress != nullptr) progress(part.last, total);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_BATCH_H_
