// SPDX-License-Identifier: GPL-3.0-or-later
// What a packet pays for being counted, on the nf_tables backend.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/row.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {
namespace {

// 127.1.0.0 and as many addresses from there.
constexpr uint32_t kFirst = 0x7f010000;
constexpr uint16_t kPort = 9;
// Those that packets are sent to: not so many that the caches of addresses and
// routes are what is measured.
constexpr uint32_t kTargets = 256;

std::string Address(uint32_t number) {
  in_addr address = {.s_addr = htonl(kFirst + number)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &address, text, sizeof(text));
}

// Sends packets of 64 bytes of UDP over the loopback.
class Sender {
 public:
  static absl::StatusOr<std::unique_ptr<Sender>> Open() {
    auto sender = std::make_unique<Sender>();
    // Takes what comes, so that no errors go back.
    const sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(kPort)};
    if (bind(sender->sink_, reinterpret_cast<const sockaddr*>(&any),
             sizeof(any)) != 0) {
      return absl::ErrnoToStatus(errno, "bind");
    }
    return sender;
  }
  ~Sender() {
    close(sink_);
    close(fd_);
  }

  // Nanoseconds a packet.
  absl::StatusOr<double> Measure(size_t packets) {
    const char payload[22] = {};
    sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kPort)};
    const absl::Time start = absl::Now();
    for (size_t i = 0; i < packets; ++i) {
      to.sin_addr.s_addr =
          htonl(kFirst + static_cast<uint32_t>(i * 37 % kTargets));
      if (sendto(fd_, payload, sizeof(payload), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
        return absl::ErrnoToStatus(errno, "sendto");
      }
    }
    return absl::ToDoubleNanoseconds(absl::Now() - start) /
           static_cast<double>(packets);
  }

 private:
  const int sink_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

// A plan of so many addresses, which packets are sent to the first of.
absl::Status Apply(v1::PlanService::Stub& stub, size_t accounts) {
  grpc::ClientContext context;
  v1::ApplyPlanRequest request;
  request.set_prune(true);
  v1::Plan& plan = *request.mutable_plan();
  plan.set_name("bench");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  group.add_directions(v1::DIRECTION_OUT);
  for (size_t i = 0; i < accounts; ++i) {
    (*group.mutable_members())[Address(static_cast<uint32_t>(i))] =
        absl::StrCat("bench-", i);
  }
  v1::ApplyPlanResponse response;
  return FromGrpc(stub.ApplyPlan(&context, request, &response), "ApplyPlan");
}

absl::Status Delete(v1::PlanService::Stub& stub) {
  grpc::ClientContext context;
  v1::DeletePlanRequest request;
  request.set_name("bench");
  v1::DeletePlanResponse response;
  return FromGrpc(stub.DeletePlan(&context, request, &response), "DeletePlan");
}

absl::Status Nft(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"nft"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const auto result = testing::Run(command);
  return result.exit_code == 0 ? absl::OkStatus()
                               : absl::InternalError(result.err);
}

// The same as somebody would write it for nft.
std::string ByHand(size_t accounts) {
  std::string text = "table inet hand {\n";
  for (size_t i = 0; i < accounts; ++i) {
    absl::StrAppend(&text, "counter h", i, " { }\n");
  }
  absl::StrAppend(&text,
                  "map accounts { type ipv4_addr : counter; elements = { ");
  for (size_t i = 0; i < accounts; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ",\n",
                    Address(static_cast<uint32_t>(i)), " : \"h", i, "\"");
  }
  absl::StrAppend(&text,
                  " }\n}\nchain out {\ntype filter hook output priority -1;\n"
                  "counter name ip daddr map @accounts\n}\n}\n");
  return text;
}

absl::StatusOr<Measurement> AgainstByHand(const Scale& scale) {
  const size_t accounts = scale.Of(10'000, 300);
  const size_t packets = scale.Of(300'000, 2'000);
  auto daemon = Daemon::Start({"--backend", "nftables"});
  if (!daemon.ok()) return daemon.status();
  const auto stub = v1::PlanService::NewStub((*daemon)->Connect());
  auto sender = Sender::Open();
  if (!sender.ok()) return sender.status();
  testing::TemporaryDirectory directory;
  const std::string file = directory / "hand.nft";
  std::ofstream(file) << ByHand(accounts);
  std::vector<double> ours;
  std::vector<double> theirs;
  // The first pair only warms up.
  for (int i = -1; i < scale.repetitions(); ++i) {
    const auto without = (*sender)->Measure(packets);
    if (!without.ok()) return without.status();
    if (auto s = Apply(*stub, accounts); !s.ok()) return s;
    const auto by_plan = (*sender)->Measure(packets);
    if (!by_plan.ok()) return by_plan.status();
    if (auto s = Delete(*stub); !s.ok()) return s;
    if (auto s = Nft({"-f", file}); !s.ok()) return s;
    const auto by_hand = (*sender)->Measure(packets);
    if (!by_hand.ok()) return by_hand.status();
    if (auto s = Nft({"delete", "table", "inet", "hand"}); !s.ok()) return s;
    if (i < 0) continue;
    ours.push_back(*by_plan - *without);
    theirs.push_back(*by_hand - *without);
  }
  return Paired(ours, theirs, "ns");
}

absl::StatusOr<Measurement> AgainstFive(const Scale& scale) {
  const size_t accounts = scale.Of(100'000, 300);
  const size_t packets = scale.Of(300'000, 2'000);
  auto daemon = Daemon::Start({"--backend", "nftables"});
  if (!daemon.ok()) return daemon.status();
  const auto stub = v1::PlanService::NewStub((*daemon)->Connect());
  auto sender = Sender::Open();
  if (!sender.ok()) return sender.status();
  const auto measure = [&](size_t count) -> absl::StatusOr<double> {
    const auto without = (*sender)->Measure(packets);
    if (!without.ok()) return without.status();
    if (auto s = Apply(*stub, count); !s.ok()) return s;
    const auto with = (*sender)->Measure(packets);
    if (!with.ok()) return with.status();
    if (auto s = Delete(*stub); !s.ok()) return s;
    return *with - *without;
  };
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = -1; i < scale.repetitions(); ++i) {
    const auto all = measure(accounts);
    if (!all.ok()) return all.status();
    // As few as are a map.
    const auto few = measure(5);
    if (!few.ok()) return few.status();
    if (i < 0) continue;
    ours.push_back(*all);
    theirs.push_back(*few);
  }
  return Paired(ours, theirs, "ns");
}

}  // namespace

std::vector<Row> NftPacketRows() {
  return {
      {"nft-packet-10k",
       "ns that a packet pays for a plan of 10,000 addresses, on nf_tables",
       "a hand-written nft map of as many counters", 1.2, false, AgainstByHand},
      {"nft-packet-100k",
       "ns that a packet pays for a plan of 100,000 addresses, on nf_tables",
       "a plan of five addresses", 2.0, false, AgainstFive},
  };
}

}  // namespace nfmeter::bench
