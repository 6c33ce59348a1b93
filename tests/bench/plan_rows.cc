// SPDX-License-Identifier: GPL-3.0-or-later
// Plans: what they cost a packet, and what it takes to apply and to check one.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "grpcpp/client_context.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "tests/bench/bare_acct.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"

namespace nfmeter::bench {
namespace {

constexpr uint16_t kPlanPort = 20'000;
constexpr char kPlan[] = "bench";

// All of them are this host's.
uint32_t Address(size_t i) { return (127u << 24) + (1u << 16) + 1 + i; }

std::string AddressText(size_t i) {
  const uint32_t a = Address(i);
  return absl::StrFormat("%d.%d.%d.%d", a >> 24, (a >> 16) & 255,
                         (a >> 8) & 255, a & 255);
}

v1::Plan PlanFor(const std::vector<std::string>& names) {
  v1::Plan plan;
  plan.set_name(kPlan);
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  group.add_directions(v1::DIRECTION_OUT);
  for (size_t i = 0; i < names.size(); ++i) {
    (*group.mutable_members())[AddressText(i)] = names[i];
  }
  return plan;
}

// A daemon with a caller that waits as long as it takes.
class PlanServer {
 public:
  static absl::StatusOr<PlanServer> Start(
      const std::vector<std::string>& flags = {}) {
    auto daemon = Daemon::Start(flags);
    if (!daemon.ok()) return daemon.status();
    PlanServer server;
    server.stub_ = v1::PlanService::NewStub((*daemon)->Connect());
    server.daemon_ = *std::move(daemon);
    return server;
  }

  absl::Status Apply(const v1::Plan& plan) {
    grpc::ClientContext context;
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    request.set_prune(true);
    v1::ApplyPlanResponse response;
    return FromGrpc(stub_->ApplyPlan(&context, request, &response),
                    "ApplyPlan");
  }
  absl::Status Delete() {
    grpc::ClientContext context;
    v1::DeletePlanRequest request;
    request.set_name(kPlan);
    v1::DeletePlanResponse response;
    return FromGrpc(stub_->DeletePlan(&context, request, &response),
                    "DeletePlan");
  }
  absl::StatusOr<v1::PlanStatus> Status() {
    grpc::ClientContext context;
    v1::GetPlanStatusRequest request;
    request.set_name(kPlan);
    v1::GetPlanStatusResponse response;
    const auto status = FromGrpc(
        stub_->GetPlanStatus(&context, request, &response), "GetPlanStatus");
    if (!status.ok()) return status;
    return response.status();
  }
  absl::Status Create(const std::vector<std::string>& counters) {
    grpc::ClientContext context;
    v1::BatchCreateCountersRequest request;
    for (const std::string& name : counters) {
      request.add_counters()->set_name(name);
    }
    v1::BatchCreateCountersResponse response;
    return FromGrpc(v1::CounterService::NewStub(daemon_->Connect())
                        ->BatchCreateCounters(&context, request, &response),
                    "BatchCreateCounters");
  }
  pid_t pid() const { return daemon_->pid(); }

 private:
  PlanServer() = default;

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<v1::PlanService::Stub> stub_;
};

absl::Status RunTool(const std::vector<std::string>& argv) {
  const testing::RunResult result = testing::Run(argv);
  return result.exit_code == 0 ? absl::OkStatus()
                               : absl::InternalError(result.err);
}

absl::Status EmptyTables() {
  if (auto s = RunTool({"iptables-legacy", "-F"}); !s.ok()) return s;
  return RunTool({"iptables-legacy", "-X"});
}

// --- The cost of a packet ----------------------------------------------------

// Sends to `addresses` addresses in turn. A socket that nobody reads drops what
// comes, so that no errors go back.
class AddressSender {
 public:
  static absl::StatusOr<AddressSender> Open() {
    AddressSender sender;
    const int size = 1;
    sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(kPlanPort)};
    if (!sender.from_.valid() || !sender.to_.valid() ||
        setsockopt(sender.to_.get(), SOL_SOCKET, SO_RCVBUF, &size,
                   sizeof(size)) != 0 ||
        bind(sender.to_.get(), reinterpret_cast<const sockaddr*>(&any),
             sizeof(any)) != 0) {
      return absl::ErrnoToStatus(errno, "socket");
    }
    return sender;
  }

  // Nanoseconds a packet.
  absl::StatusOr<double> Send(size_t packets, size_t addresses) {
    sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kPlanPort)};
    const char payload[36] = {};
    const absl::Time start = absl::Now();
    for (size_t i = 0; i < packets; ++i) {
      // Not one after the other: neighbours share their way down the tree.
      to.sin_addr.s_addr =
          htonl(Address(i * 7919 % addresses));  // a prime beyond
      if (sendto(from_.get(), payload, sizeof(payload), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
        return absl::ErrnoToStatus(errno, "sendto");
      }
    }
    return absl::ToDoubleNanoseconds(absl::Now() - start) /
           static_cast<double>(packets);
  }

 private:
  UniqueFd from_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  UniqueFd to_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

// What rules add to a packet: `set` makes them and `unset` takes them away.
absl::StatusOr<double> Added(AddressSender& sender, size_t packets,
                             size_t addresses,
                             const std::function<absl::Status()>& set,
                             const std::function<absl::Status()>& unset) {
  const auto before = sender.Send(packets, addresses);
  if (!before.ok()) return before.status();
  if (auto s = set(); !s.ok()) return s;
  const auto with = sender.Send(packets, addresses);
  if (auto s = unset(); !s.ok()) return s;
  const auto after = sender.Send(packets, addresses);
  if (!with.ok()) return with.status();
  if (!after.ok()) return after.status();
  return *with - (*before + *after) / 2;
}

absl::StatusOr<Measurement> Packet(const Scale& scale) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  auto server = PlanServer::Start();
  if (!server.ok()) return server.status();
  auto sender = AddressSender::Open();
  if (!sender.ok()) return sender.status();
  const size_t packets = scale.Of(400'000, 1000);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    for (const size_t accounts : {names.size(), size_t{1}}) {
      const v1::Plan plan =
          PlanFor({names.begin(), names.begin() + static_cast<long>(accounts)});
      const auto added = Added(
          *sender, packets, accounts, [&] { return server->Apply(plan); },
          [&] { return server->Delete(); });
      if (!added.ok()) return added.status();
      (accounts == 1 ? theirs : ours).push_back(*added);
    }
  }
  return Paired(ours, theirs, "ns a packet");
}

// The same rules one below the other, as one writes them by hand.
std::string LinearRules(const std::vector<std::string>& names) {
  std::string text = "*filter\n";
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&text, "-A OUTPUT -d ", AddressText(i),
                    "/32 -m nfacct --nfacct-name ", names[i], "\n");
  }
  return text + "COMMIT\n";
}

absl::StatusOr<Measurement> PacketLinear(const Scale& scale) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  auto acct = BareAcct::Open();
  if (!acct.ok()) return acct.status();
  auto server = PlanServer::Start();
  if (!server.ok()) return server.status();
  auto sender = AddressSender::Open();
  if (!sender.ok()) return sender.status();
  testing::TemporaryDirectory directory;
  const std::string path = directory / "rules";
  std::ofstream(path) << LinearRules(names);
  const v1::Plan plan = PlanFor(names);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    const auto tree = Added(
        *sender, scale.Of(400'000, 1000), names.size(),
        [&] { return server->Apply(plan); }, [&] { return server->Delete(); });
    if (!tree.ok()) return tree.status();
    const auto linear = Added(
        *sender, scale.Of(40'000, 1000), names.size(),
        [&] {
          if (auto s = (*acct)->Create(names); !s.ok()) return s;
          return RunTool({"iptables-legacy-restore", "--noflush", path});
        },
        [&] {
          if (auto s = EmptyTables(); !s.ok()) return s;
          return (*acct)->Flush();
        });
    if (!linear.ok()) return linear.status();
    ours.push_back(*tree);
    theirs.push_back(*linear);
  }
  Measurement measured = Paired(ours, theirs, "ns a packet");
  measured.ratio = 1 / measured.ratio;  // how many times less
  return measured;
}

// --- To apply ----------------------------------------------------------------

// The tools that people would use, of one backend.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual std::vector<std::string> flags() const = 0;  // of nfmeterd
  // What the plan has become, as Load() reads it.
  virtual absl::StatusOr<std::string> Compiled() = 0;
  // Makes the same, counters included.
  virtual absl::Status Load(const std::vector<std::string>& counters,
                            const std::string& path) = 0;
  virtual absl::Status Clear() = 0;
  virtual std::vector<std::string> ListCommand() const = 0;
};

class Iptables final : public Peer {
 public:
  static absl::StatusOr<std::unique_ptr<Peer>> Open() {
    auto acct = BareAcct::Open();
    if (!acct.ok()) return acct.status();
    auto peer = std::make_unique<Iptables>();
    peer->acct_ = *std::move(acct);
    return peer;
  }

  std::vector<std::string> flags() const override { return {}; }
  absl::StatusOr<std::string> Compiled() override {
    const testing::RunResult saved = testing::Run(ListCommand());
    if (saved.exit_code != 0) return absl::InternalError(saved.err);
    std::string text = "*filter\n";
    for (const absl::string_view line : absl::StrSplit(saved.out, '\n')) {
      if (absl::StrContains(line, "NFM-")) absl::StrAppend(&text, line, "\n");
    }
    return text + "COMMIT\n";
  }
  absl::Status Load(const std::vector<std::string>& counters,
                    const std::string& path) override {
    if (auto s = acct_->Create(counters); !s.ok()) return s;
    return RunTool({"iptables-legacy-restore", "--noflush", path});
  }
  absl::Status Clear() override {
    if (auto s = EmptyTables(); !s.ok()) return s;
    return acct_->Flush();
  }
  std::vector<std::string> ListCommand() const override {
    return {"iptables-legacy-save", "-t", "filter"};
  }

 private:
  std::unique_ptr<BareAcct> acct_;
};

class Nft final : public Peer {
 public:
  static absl::StatusOr<std::unique_ptr<Peer>> Open() {
    return std::make_unique<Nft>();
  }

  std::vector<std::string> flags() const override {
    return {"--backend", "nftables"};
  }
  absl::StatusOr<std::string> Compiled() override {
    const testing::RunResult listed = testing::Run(ListCommand());
    if (listed.exit_code != 0) return absl::InternalError(listed.err);
    // A table of the tool's own.
    std::string text = "table inet peer {\n";
    const std::vector<absl::string_view> lines =
        absl::StrSplit(listed.out, '\n');
    for (size_t i = 1; i < lines.size(); ++i) {
      if (absl::StrContains(lines[i], "flags owner")) continue;
      absl::StrAppend(&text, lines[i], "\n");
    }
    return text;
  }
  absl::Status Load(const std::vector<std::string>&,
                    const std::string& path) override {
    return RunTool({"nft", "-f", path});
  }
  absl::Status Clear() override {
    return RunTool({"nft", "delete", "table", "inet", "peer"});
  }
  std::vector<std::string> ListCommand() const override {
    return {"nft", "list", "table", "inet", "nfmeter"};
  }
};

using OpenPeer = absl::StatusOr<std::unique_ptr<Peer>> (*)();

absl::StatusOr<Measurement> Apply(const Scale& scale, OpenPeer open,
                                  size_t accounts, bool change) {
  const std::vector<std::string> names = Names(accounts);
  const auto peer = open();
  if (!peer.ok()) return peer.status();
  auto server = PlanServer::Start((*peer)->flags());
  if (!server.ok()) return server.status();
  testing::TemporaryDirectory directory;
  const std::string path = directory / "rules";
  const v1::Plan plan = PlanFor(names);
  v1::Plan changed = plan;
  changed.mutable_groups(0)->mutable_members()->erase(AddressText(0));
  (*changed.mutable_groups(0)->mutable_members())["127.9.9.9"] = names[0];
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    absl::Time start = absl::Now();
    if (auto s = server->Apply(plan); !s.ok()) return s;
    if (change) {
      start = absl::Now();
      if (auto s = server->Apply(changed); !s.ok()) return s;
    }
    ours.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    const auto compiled = (*peer)->Compiled();
    if (!compiled.ok()) return compiled.status();
    std::ofstream(path) << *compiled;
    if (auto s = server->Delete(); !s.ok()) return s;

    start = absl::Now();
    if (auto s = (*peer)->Load(names, path); !s.ok()) return s;
    theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (auto s = (*peer)->Clear(); !s.ok()) return s;
  }
  return Paired(ours, theirs, "ms");
}

// By itself: one element of a map, whatever the others cost.
absl::StatusOr<Measurement> NftChange(const Scale& scale) {
  auto measured = Apply(scale, Nft::Open, scale.Of(10'000, 100), true);
  if (!measured.ok()) return measured.status();
  measured->ratio = measured->ours;
  return measured;
}

// --- To check ----------------------------------------------------------------

// User and system time of children that have ended.
// Until the plan has been compared once more.
absl::Status AwaitCheck(PlanServer& server) {
  std::string first;
  while (true) {
    const auto status = server.Status();
    if (!status.ok()) return status.status();
    const std::string now = status->check_time().SerializeAsString();
    if (first.empty()) first = now;
    if (now != first) return absl::OkStatus();
    absl::SleepFor(absl::Milliseconds(50));
  }
}

// Between checks, as nfmeterd has it.
constexpr absl::Duration kCheckInterval = absl::Seconds(5);

absl::StatusOr<Measurement> Check(const Scale& scale, OpenPeer open) {
  const std::vector<std::string> names = Names(scale.Of(10'000, 100));
  const auto peer = open();
  if (!peer.ok()) return peer.status();
  auto server = PlanServer::Start((*peer)->flags());
  if (!server.ok()) return server.status();
  // Of looking after the counters alone, which the ledger reads every ten
  // seconds; nobody calls meanwhile.
  const int checks = scale.small ? 2 : 4;
  const auto cpu_of_a_check = [&] {
    const absl::Duration before = CpuTime(server->pid());
    absl::SleepFor(checks * kCheckInterval);
    return absl::ToDoubleMilliseconds(CpuTime(server->pid()) - before) / checks;
  };
  if (auto s = server->Create(names); !s.ok()) return s;
  absl::SleepFor(kCheckInterval);
  const double without_plan = cpu_of_a_check();
  if (auto s = server->Apply(PlanFor(names)); !s.ok()) return s;
  if (auto s = AwaitCheck(*server); !s.ok()) return s;
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    ours.push_back(cpu_of_a_check() - without_plan);
    const absl::Duration saved = CpuOf(RUSAGE_CHILDREN);
    if (auto s = RunTool((*peer)->ListCommand()); !s.ok()) {
      return s;
    }
    theirs.push_back(
        absl::ToDoubleMilliseconds(CpuOf(RUSAGE_CHILDREN) - saved));
  }
  return Paired(ours, theirs, "ms CPU");
}

Row ApplyRow(const std::string& name, size_t accounts, bool change) {
  return {name,
          absl::StrCat("ApplyPlan of ", accounts, " addresses",
                       change ? ", of which one has changed" : ""),
          "bare libmnl creation of the counters and iptables-legacy-restore of "
          "what was compiled",
          change ? 0.1 : 1.2,
          false,
          [=](const Scale& scale) {
            return Apply(scale, Iptables::Open, scale.Of(accounts, 100),
                         change);
          }};
}

}  // namespace

std::vector<Row> PlanRows() {
  return {
      {"packet-10k", "what a plan of 10,000 addresses adds to a packet",
       "the same with one account", 2.5, false, Packet},
      {"packet-10k-vs-linear",
       "what a plan of 10,000 addresses adds to a packet",
       "10,000 rules in a row", 60, true, PacketLinear},
      ApplyRow("plan-apply-100", 100, false),
      ApplyRow("plan-apply-1k", 1000, false),
      ApplyRow("plan-apply-10k", 10'000, false),
      ApplyRow("plan-apply-20k", 20'000, false),
      ApplyRow("plan-change-10k", 10'000, true),
      {"plan-check-10k",
       "server CPU of one check of an unchanged plan of 10,000 addresses",
       "iptables-legacy-save", 0.2, false,
       [](const Scale& scale) { return Check(scale, Iptables::Open); }},
      {"nft-plan-apply-10k", "ApplyPlan of 10,000 addresses, on nf_tables",
       "nft -f of what was compiled, counters included", 1.2, false,
       [](const Scale& scale) {
         return Apply(scale, Nft::Open, scale.Of(10'000, 100), false);
       }},
      {"nft-plan-change-10k",
       "milliseconds of ApplyPlan of 10,000 addresses, of which one has "
       "changed, on nf_tables",
       "", 5, false, NftChange},
      {"nft-plan-check-10k",
       "server CPU of one check of an unchanged plan of 10,000 addresses, on "
       "nf_tables",
       "nft list table", 0.2, false,
       [](const Scale& scale) { return Check(scale, Nft::Open); }},
  };
}

}  // namespace nfmeter::bench
