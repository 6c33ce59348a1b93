// SPDX-License-Identifier: GPL-3.0-or-later
// The three ways to account, on the same traffic in one run: what each says,
// what it costs a packet, and what it costs to read.
#include <sys/resource.h>

#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nfmeter/client.h"
#include "tests/bench/daemon.h"
#include "tests/bench/many_flows.h"
#include "tests/bench/row.h"
#include "tests/support/private_netns.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {
namespace {

using Command = std::vector<std::string>;

// Runs a line of words.
absl::StatusOr<std::string> Do(const std::string& line) {
  const Command words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const auto result = testing::Run(words);
  if (result.exit_code != 0) {
    return absl::InternalError(absl::StrCat(line, ": ", result.err));
  }
  return result.out;
}

// --- What a packet costs ---------------------------------------------------

struct Setup {
  std::string name;
  std::vector<std::string> commands;
  bool tracks = false;  // connection tracking
};

const std::vector<Setup>& Setups() {
  static const auto* const setups = new std::vector<Setup>{
      {.name = "nothing"},
      {.name = "a rule",
       .commands = {"iptables-legacy -w -A OUTPUT -p udp --dport 9000"}},
      {.name = "a rule with an accounting object",
       .commands = {"nfacct add udp",
                    "iptables-legacy -w -A OUTPUT -p udp --dport 9000 -m "
                    "nfacct --nfacct-name udp"}},
      {.name = "connection tracking with accounting", .tracks = true},
  };
  return *setups;
}

// Nanoseconds of CPU for a packet over loopback, sent and received.
absl::StatusOr<double> PacketCost(const Setup& setup, int packets) {
  if (auto status = testing::EnterPrivateNetns(); !status.ok()) return status;
  if (setup.tracks) {
    if (auto status = WakeConntrack(); !status.ok()) return status;
  }
  for (const std::string& command : setup.commands) {
    if (const auto done = Do(command); !done.ok()) return done.status();
  }
  const auto sender = FlowSender::Open();
  if (!sender.ok()) return sender.status();
  const absl::Duration before = CpuOf(RUSAGE_THREAD);
  for (int i = 0; i < packets; ++i) {
    // Over a thousand flows, as a packet's flow has to be found.
    if (auto status = (*sender)->Send(i % 1000); !status.ok()) return status;
  }
  return absl::ToDoubleNanoseconds(CpuOf(RUSAGE_THREAD) - before) / packets;
}

absl::Status PrintPacketCosts(const Scale& scale) {
  const int packets = static_cast<int>(scale.Of(200'000, 2'000));
  std::vector<std::vector<double>> costs(Setups().size());
  for (int i = 0; i < scale.repetitions(); ++i) {
    for (size_t s = 0; s < Setups().size(); ++s) {
      const auto cost = PacketCost(Setups()[s], packets);
      if (!cost.ok()) return cost.status();
      costs[s].push_back(*cost);
    }
  }
  const double bare = Median(costs[0]);
  std::cout << "| set up | ns of CPU a packet | beyond nothing |\n"
               "| --- | --- | --- |\n";
  for (size_t s = 0; s < Setups().size(); ++s) {
    const double cost = Median(costs[s]);
    std::cout << absl::StreamFormat("| %s | %.0f | %.0f |\n", Setups()[s].name,
                                    cost, cost - bare);
  }
  return absl::OkStatus();
}

// --- What they say, and what it costs to read ------------------------------

struct Counts {
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// The first two numbers of the line that has this word, and is of no rule with
// an accounting object.
absl::StatusOr<Counts> CountsIn(const std::string& text,
                                const std::string& word) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StrContains(line, word) ||
        absl::StrContains(line, "nfacct-name")) {
      continue;
    }
    std::vector<uint64_t> numbers;
    for (const absl::string_view part :
         absl::StrSplit(line, absl::ByAnyChar(" =,;{}"), absl::SkipEmpty())) {
      uint64_t number = 0;
      if (absl::SimpleAtoi(part, &number)) numbers.push_back(number);
    }
    if (numbers.size() >= 2) return Counts{numbers[0], numbers[1]};
  }
  return absl::InternalError(absl::StrCat("no ", word, " in: ", text));
}

// Sums of all "packets=" and "bytes=".
absl::StatusOr<Counts> SumOfConntrack() {
  const auto text = Do("conntrack -L -p udp");
  if (!text.ok()) return text.status();
  Counts sum;
  for (const absl::string_view word :
       absl::StrSplit(*text, absl::ByAnyChar(" \n"))) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    uint64_t number = 0;
    if (!absl::SimpleAtoi(parts.second, &number)) continue;
    if (parts.first == "packets") sum.packets += number;
    if (parts.first == "bytes") sum.bytes += number;
  }
  return sum;
}

// The same traffic, counted in all three ways, and a server.
class Ways {
 public:
  absl::Status Set(size_t flows) {
    if (auto status = testing::EnterPrivateNetns(); !status.ok()) return status;
    if (auto status = WakeConntrack(); !status.ok()) return status;
    auto daemon = Daemon::Start({"--socket-flows", "full"});
    if (!daemon.ok()) return daemon.status();
    daemon_ = *std::move(daemon);
    auto client = Client::Connect({.address = daemon_->address()});
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    v1::Rule rule;
    rule.set_chain("OUTPUT");
    rule.set_counter("udp");
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kFlowPort);
    if (auto made = client_->CreateCounter("udp"); !made.ok()) {
      return made.status();
    }
    if (auto made = client_->CreateRule(rule); !made.ok()) return made.status();
    const auto plain = Do("iptables-legacy -w -A OUTPUT -p udp --dport 9000");
    if (!plain.ok()) return plain.status();
    return MakeFlows(flows);
  }

  absl::Status Print(int repetitions) {
    std::cout << "| way | read by | packets | bytes | ms of CPU |\n"
                 "| --- | --- | --- | --- | --- |\n";
    const std::pair<const char*, std::function<absl::StatusOr<Counts>()>>
        reads[] = {
            {"accounting object | GetCounter", [this] { return Counter(); }},
            {"accounting object | `nfacct get`",
             [] { return FromTool("nfacct get udp", "= udp"); }},
            {"rule counter | `iptables -L -v`",
             [] {
               return FromTool("iptables-legacy -w -L OUTPUT -v -x -n",
                               "dpt:9000");
             }},
            {"connection tracking | SummarizeFlows",
             [this] { return Flows(); }},
            {"connection tracking | `conntrack -L`", SumOfConntrack},
        };
    for (const auto& [name, read] : reads) {
      if (auto status = PrintOne(name, read, repetitions); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  static absl::StatusOr<Counts> FromTool(const std::string& command,
                                         const std::string& word) {
    const auto text = Do(command);
    if (!text.ok()) return text.status();
    return CountsIn(*text, word);
  }

  absl::StatusOr<Counts> Counter() {
    const auto counter = client_->GetCounter("udp");
    if (!counter.ok()) return counter.status();
    return Counts{counter->packets(), counter->bytes()};
  }

  absl::StatusOr<Counts> Flows() {
    v1::SummarizeFlowsRequest request;
    request.mutable_filter()->set_protocol("udp");
    const auto sums = client_->SummarizeFlows(request);
    if (!sums.ok()) return sums.status();
    const v1::FlowCounts& counts = sums->ranking().total().original();
    return Counts{counts.packets(), counts.bytes()};
  }

  // CPU of the server and of programs that are run.
  absl::Duration Cpu() const {
    return CpuTime(daemon_->pid()) + CpuOf(RUSAGE_CHILDREN);
  }

  absl::Status PrintOne(const std::string& name,
                        const std::function<absl::StatusOr<Counts>()>& read,
                        int repetitions) {
    absl::StatusOr<Counts> counts;
    const absl::Duration before = Cpu();
    for (int i = 0; i < repetitions; ++i) {
      counts = read();
      if (!counts.ok()) return counts.status();
    }
    const double cpu = absl::ToDoubleMilliseconds(Cpu() - before) / repetitions;
    std::cout << absl::StreamFormat("| %s | %d | %d | %.2f |\n", name,
                                    counts->packets, counts->bytes, cpu);
    return absl::OkStatus();
  }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
};

}  // namespace

absl::Status CompareThreeWays(const Scale& scale) {
  if (auto status = PrintPacketCosts(scale); !status.ok()) return status;
  const size_t flows = scale.Of(100'000, 500);
  Ways ways;
  if (auto status = ways.Set(flows); !status.ok()) return status;
  std::cout << absl::StreamFormat(
      "\nSent: %d packets of %d flows, %d bytes.\n\n", flows, flows,
      flows * kFlowPacketBytes);
  return ways.Print(scale.small ? 1 : 10);
}

}  // namespace nfmeter::bench
