// SPDX-License-Identifier: GPL-3.0-or-later
// The nf_tables backend.
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "nfmeter/client.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "tests/bench/bare_nft.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

// Batches have at most so many.
constexpr size_t kBatch = 10'000;

absl::Status CreateCounters(v1::CounterService::Stub& stub,
                            absl::Span<const std::string> names) {
  grpc::ClientContext context;
  v1::BatchCreateCountersRequest request;
  v1::BatchCreateCountersResponse response;
  for (const std::string& name : names) request.add_counters()->set_name(name);
  return FromGrpc(stub.BatchCreateCounters(&context, request, &response),
                  "BatchCreateCounters");
}

absl::Status DeleteCounters(v1::CounterService::Stub& stub,
                            absl::Span<const std::string> names) {
  grpc::ClientContext context;
  v1::BatchDeleteCountersRequest request;
  v1::BatchDeleteCountersResponse response;
  for (const std::string& name : names) request.add_names(name);
  return FromGrpc(stub.BatchDeleteCounters(&context, request, &response),
                  "BatchDeleteCounters");
}

absl::StatusOr<Measurement> NftCreate(const Scale& scale) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  auto bare = BareNft::Open();
  if (!bare.ok()) return bare.status();
  auto daemon = Daemon::Start({"--backend", "nftables"});
  if (!daemon.ok()) return daemon.status();
  const auto stub = v1::CounterService::NewStub((*daemon)->Connect());
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    absl::Time start = absl::Now();
    if (auto s = CreateCounters(*stub, names); !s.ok()) return s;
    ours.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = DeleteCounters(*stub, names); !s.ok()) return s;
    start = absl::Now();
    if (auto s = (*bare)->Create(names); !s.ok()) return s;
    theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = (*bare)->Delete(); !s.ok()) return s;
  }
  return Paired(ours, theirs, "ms");
}

absl::StatusOr<Measurement> NftSnapshot(const Scale& scale, size_t counters) {
  auto bare = BareNft::Open();
  if (!bare.ok()) return bare.status();
  auto daemon = Daemon::Start({"--backend", "nftables"});
  if (!daemon.ok()) return daemon.status();
  const auto stub = v1::CounterService::NewStub((*daemon)->Connect());
  const std::vector<std::string> names = Names(counters);
  for (size_t begin = 0; begin < counters; begin += kBatch) {
    const auto batch = absl::MakeConstSpan(names).subspan(begin, kBatch);
    if (auto s = CreateCounters(*stub, batch); !s.ok()) return s;
  }
  auto client = Client::Connect({.address = (*daemon)->address()});
  if (!client.ok()) return client.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  // The first pair only warms up.
  const int pairs = scale.small ? 1 : counters > 20'000 ? 15 : 51;
  for (int i = -1; i < pairs; ++i) {
    const absl::Time start = absl::Now();
    const auto snapshot = (*client)->GetSnapshot();
    const absl::Time between = absl::Now();
    const auto dumped = (*bare)->Dump();
    const absl::Time end = absl::Now();
    if (!snapshot.ok()) return snapshot.status();
    if (!dumped.ok()) return dumped.status();
    if (!snapshot->complete || snapshot->size() != counters ||
        *dumped != counters) {
      return absl::InternalError("not all counters were read");
    }
    if (i < 0) continue;
    ours.push_back(absl::ToDoubleMilliseconds(between - start));
    theirs.push_back(absl::ToDoubleMilliseconds(end - between));
  }
  return Paired(ours, theirs, "ms");
}

}  // namespace

std::vector<Row> NftRows() {
  return {
      {"nft-create-10k", "BatchCreateCounters of 10,000, on nf_tables",
       "bare libmnl batch of the same counters", 1.3, false, NftCreate},
      {"nft-snapshot-10k",
       "GetSnapshot of 10,000 counters, COLUMNS, fresh, on nf_tables",
       "bare libmnl dump of the counters with a 256 KiB buffer", 1.3, false,
       [](const Scale& scale) {
         return NftSnapshot(scale, scale.Of(10'000, 100));
       }},
      {"nft-snapshot-50k",
       "GetSnapshot of 50,000 counters, COLUMNS, fresh, on nf_tables",
       "bare libmnl dump of the counters with a 256 KiB buffer", 1.2, false,
       [](const Scale& scale) {
         return NftSnapshot(scale, scale.Of(50'000, 200));
       }},
  };
}

}  // namespace nfmeter::bench
