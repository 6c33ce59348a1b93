// SPDX-License-Identifier: GPL-3.0-or-later
// Large batches.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

absl::StatusOr<Measurement> Create(const Scale& scale) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  v1::BatchCreateCountersRequest request;
  for (const std::string& name : names) request.add_counters()->set_name(name);

  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    // A server for each: it would make again what others take away.
    auto daemon = Daemon::Start();
    if (!daemon.ok()) return daemon.status();
    auto stub = v1::CounterService::NewStub((*daemon)->Connect());
    grpc::ClientContext context;
    v1::BatchCreateCountersResponse response;
    absl::Time start = absl::Now();
    const grpc::Status created =
        stub->BatchCreateCounters(&context, request, &response);
    ours.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = FromGrpc(created, "BatchCreateCounters"); !s.ok()) return s;
    daemon->reset();
    if (auto s = (*acct)->Flush(); !s.ok()) return s;

    start = absl::Now();
    if (auto s = (*acct)->Create(names); !s.ok()) return s;
    theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = (*acct)->Flush(); !s.ok()) return s;
  }
  return Paired(ours, theirs, "ms");
}

// One rule a counter, each for an address of its own.
v1::BatchCreateRulesRequest RulesFor(const std::vector<std::string>& names) {
  v1::BatchCreateRulesRequest request;
  request.set_placement(v1::RULE_PLACEMENT_TAIL);
  for (size_t i = 0; i < names.size(); ++i) {
    v1::Rule* rule = request.add_rules();
    rule->set_chain("OUTPUT");
    rule->set_counter(names[i]);
    rule->mutable_match()->set_destination(
        absl::StrFormat("10.1.%d.%d", i / 256, i % 256));
  }
  return request;
}

// The same rules as iptables-restore reads them.
std::string RestoreFile(const v1::BatchCreateRulesResponse& rules) {
  std::string text = "*filter\n";
  for (const v1::Rule& rule : rules.rules()) {
    absl::StrAppend(&text, rule.spec(), "\n");
  }
  return text + "COMMIT\n";
}

absl::StatusOr<Measurement> Rules(const Scale& scale) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  if (auto s = (*acct)->Create(names); !s.ok()) return s;
  const v1::BatchCreateRulesRequest request = RulesFor(names);
  testing::TemporaryDirectory directory;
  const std::string path = directory / "rules";

  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    auto daemon = Daemon::Start();  // as in Create()
    if (!daemon.ok()) return daemon.status();
    auto stub = v1::RuleService::NewStub((*daemon)->Connect());
    grpc::ClientContext context;
    v1::BatchCreateRulesResponse response;
    absl::Time start = absl::Now();
    const grpc::Status created =
        stub->BatchCreateRules(&context, request, &response);
    ours.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = FromGrpc(created, "BatchCreateRules"); !s.ok()) return s;
    std::ofstream(path) << RestoreFile(response);
    daemon->reset();

    for (const bool flush : {true, false, true}) {
      start = absl::Now();
      const testing::RunResult result =
          flush ? testing::Run({"iptables-legacy", "-F", "OUTPUT"})
                : testing::Run({"iptables-legacy-restore", "--noflush", path});
      if (!flush) {
        theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
      }
      if (result.exit_code != 0) return absl::InternalError(result.err);
    }
  }
  return Paired(ours, theirs, "ms");
}

}  // namespace

std::vector<Row> MutationRows() {
  return {
      {"create-10k", "BatchCreateCounters of 10,000",
       "bare libmnl batched creation", 1.1, false, Create},
      {"rules-10k", "BatchCreateRules of 10,000",
       "iptables-legacy-restore of the same rules", 1.2, false, Rules},
  };
}

}  // namespace nfmeter::bench
