// SPDX-License-Identifier: Apache-2.0
// Counts HTTP requests that leave this host, and prints three times which
// counters see the most traffic.
//
//   top_talkers [ADDRESS]      (default: $NFMETER_SERVER, or the local socket)
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "nfmeter/client.h"

namespace {

// Says what went wrong and what to do about it.
int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  std::fprintf(stderr, "%s\n", nfmeter::ErrorHint(status).c_str());
  return 1;
}

// A counter, and a rule that counts into it. Whoever runs this twice finds both
// there already.
absl::Status CountHttp(nfmeter::Client& client) {
  auto counter = client.CreateCounter("example-http");
  if (!counter.ok() && !absl::IsAlreadyExists(counter.status())) {
    return counter.status();
  }
  nfmeter::v1::Rule rule;
  rule.set_id("example-http-out");
  rule.set_chain("OUTPUT");
  rule.set_counter("example-http");
  rule.mutable_match()->set_protocol("tcp");
  rule.mutable_match()->add_destination_ports()->set_first(80);
  auto created = client.CreateRule(rule);
  if (!created.ok() && !absl::IsAlreadyExists(created.status())) {
    return created.status();
  }
  return absl::OkStatus();
}

// Counters by the bytes that they have counted since the frame before.
void PrintTop(const nfmeter::SnapshotFrame& frame) {
  std::vector<const nfmeter::CounterRow*> rows;
  for (const nfmeter::CounterRow& row : frame.rows) rows.push_back(&row);
  const auto growth = [](const nfmeter::CounterRow* row) {
    // Less than before: it was reset in between.
    return row->bytes >= row->previous_bytes ? row->bytes - row->previous_bytes
                                             : row->bytes;
  };
  const size_t shown = std::min<size_t>(rows.size(), 5);
  std::partial_sort(
      rows.begin(), rows.begin() + shown, rows.end(),
      [&](const auto* a, const auto* b) { return growth(a) > growth(b); });
  std::printf("snapshot %llu: %zu counters\n",
              static_cast<unsigned long long>(frame.sequence), rows.size());
  for (size_t i = 0; i < shown; ++i) {
    std::printf("  %-31s %12llu packets %15llu bytes  +%llu\n",
                std::string(rows[i]->name).c_str(),
                static_cast<unsigned long long>(rows[i]->packets),
                static_cast<unsigned long long>(rows[i]->bytes),
                static_cast<unsigned long long>(growth(rows[i])));
  }
}

}  // namespace

int main(int argc, char** argv) {
  nfmeter::ClientOptions options;
  if (argc > 1) options.address = argv[1];
  auto client = nfmeter::Client::Connect(options);
  if (!client.ok()) return Fail(client.status());

  if (absl::Status status = CountHttp(**client); !status.ok()) {
    return Fail(status);
  }

  // The watch reconnects by itself; Next() fails only when there is no more
  // hope.
  auto watch = (*client)->WatchSnapshots();
  for (int i = 0; i < 3; ++i) {
    auto frame = watch->Next();
    if (!frame.ok()) return Fail(frame.status());
    PrintTop(*frame);
  }
  return 0;
}
