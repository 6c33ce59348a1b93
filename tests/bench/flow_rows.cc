// SPDX-License-Identifier: GPL-3.0-or-later
// Sums of 100,000 flows, against a bare dump of connection tracking and against
// what people use: conntrack -L, and awk over it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nfmeter/client.h"
#include "tests/bench/bare_netlink.h"
#include "tests/bench/daemon.h"
#include "tests/bench/row.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {
namespace {

constexpr size_t kFlows = 100'000;
constexpr uint16_t kPort = 9'000;

absl::Status SetConntrack(const std::string& setting, int value) {
  const std::string path =
      absl::StrCat("/proc/sys/net/netfilter/nf_conntrack_", setting);
  const std::string text = absl::StrCat(value);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const bool done = write(fd, text.data(), text.size()) > 0;
  const int err = errno;
  close(fd);
  return done ? absl::OkStatus() : absl::ErrnoToStatus(err, path);
}

// One packet of UDP from 127.1.0.0 + number to 127.0.0.1.
absl::Status SendFrom(int fd, uint32_t number) {
  char payload[32] = {};
  sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kPort)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  iovec bytes = {payload, sizeof(payload)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr message = {.msg_name = &to,
                    .msg_namelen = sizeof(to),
                    .msg_iov = &bytes,
                    .msg_iovlen = 1,
                    .msg_control = control,
                    .msg_controllen = sizeof(control)};
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo source = {};
  source.ipi_spec_dst.s_addr = htonl(0x7f010000u + number);
  memcpy(CMSG_DATA(header), &source, sizeof(source));
  return sendmsg(fd, &message, 0) > 0 ? absl::OkStatus()
                                      : absl::ErrnoToStatus(errno, "sendmsg");
}

// As many flows in this network namespace, of 256 to a /24, which stay.
absl::Status MakeFlows(size_t count) {
  for (const auto& [setting, value] :
       {std::pair("acct", 1), std::pair("timestamp", 1),
        std::pair("udp_timeout", 86'400)}) {
    if (auto status = SetConntrack(setting, value); !status.ok()) return status;
  }
  const auto woken = testing::Run({"iptables-legacy", "-w", "-A", "OUTPUT",
                                   "-m", "conntrack", "--ctstate", "INVALID"});
  if (woken.exit_code != 0) return absl::InternalError(woken.err);
  const int sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_them = [sink, fd] {
    close(sink);
    close(fd);
  };
  sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(kPort)};
  if (bind(sink, reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) {
    return absl::ErrnoToStatus(errno, "bind");
  }
  for (size_t i = 0; i < count; ++i) {
    if (auto status = SendFrom(fd, static_cast<uint32_t>(i)); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// One dump; looks at where each message ends and no more. Number of flows.
absl::StatusOr<size_t> BareDump() {
  const auto netlink = BareNetlink::Open();
  if (!netlink.ok()) return netlink.status();
  char request[64];
  return (*netlink)->CountDump(
      PutHeader(request, MessageType(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET),
                NLM_F_DUMP, 1));
}

absl::Duration ChildrenCpu() {
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) +
         absl::DurationFromTimeval(usage.ru_stime);
}

// Flows, a server that may show them, and a client.
class FlowBench {
 public:
  static absl::StatusOr<FlowBench> Make(const Scale& scale) {
    FlowBench bench;
    bench.flows_ = scale.Of(kFlows, 500);
    if (auto status = MakeFlows(bench.flows_); !status.ok()) return status;
    auto daemon = Daemon::Start(
        {"--socket-flows", "full", "--min-flow-interval", "10ms"});
    if (!daemon.ok()) return daemon.status();
    bench.daemon_ = *std::move(daemon);
    auto client = Client::Connect({.address = bench.daemon_->address()});
    if (!client.ok()) return client.status();
    bench.client_ = *std::move(client);
    return bench;
  }

  // One SummarizeFlows by the source's /24, and by port.
  absl::Status Summarize(bool by_port) {
    // The pause between two dumps is not what is measured.
    absl::SleepFor(absl::Seconds(1));
    v1::SummarizeFlowsRequest request;
    request.mutable_grouping()->mutable_source()->set_ipv4(24);
    request.mutable_grouping()->set_destination_port(by_port);
    cpu_before_ = CpuTime(daemon_->pid());
    start_ = absl::Now();
    const auto response = client_->SummarizeFlows(request);
    elapsed_ = absl::Now() - start_;
    if (!response.ok()) return response.status();
    cpu_ = CpuTime(daemon_->pid()) - cpu_before_;
    const uint64_t found = response->ranking().total().flows();
    return found >= flows_
               ? absl::OkStatus()
               : absl::InternalError(absl::StrCat(found, " flows of ", flows_));
  }
  absl::Duration elapsed() const { return elapsed_; }
  absl::Duration cpu() const { return cpu_; }

 private:
  size_t flows_ = 0;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
  absl::Time start_;
  absl::Duration elapsed_;
  absl::Duration cpu_before_;
  absl::Duration cpu_;
};

absl::StatusOr<Measurement> AgainstBareDump(const Scale& scale) {
  auto bench = FlowBench::Make(scale);
  if (!bench.ok()) return bench.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (auto status = bench->Summarize(false); !status.ok()) return status;
    ours.push_back(absl::ToDoubleMilliseconds(bench->elapsed()));
    const absl::Time start = absl::Now();
    if (const auto flows = BareDump(); !flows.ok()) return flows.status();
    theirs.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  return Paired(ours, theirs, "ms");
}

// CPU of the server against that of a line of shell.
absl::StatusOr<Measurement> AgainstCommand(const Scale& scale,
                                           const std::string& line,
                                           bool by_port) {
  auto bench = FlowBench::Make(scale);
  if (!bench.ok()) return bench.status();
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < scale.repetitions(); ++i) {
    if (auto status = bench->Summarize(by_port); !status.ok()) return status;
    ours.push_back(absl::ToDoubleMilliseconds(bench->cpu()));
    const absl::Duration before = ChildrenCpu();
    const auto result = testing::Run({"sh", "-c", line});
    if (result.exit_code != 0) return absl::InternalError(result.err);
    theirs.push_back(absl::ToDoubleMilliseconds(ChildrenCpu() - before));
  }
  // How many times less.
  Measurement measured = Paired(theirs, ours, "ms CPU");
  std::swap(measured.ours, measured.theirs);
  return measured;
}

constexpr char kList[] = "conntrack -L 2>&1 >/dev/null";
// Sums both directions by /24 of the source and by port.
constexpr char kAwk[] =
    "conntrack -L 2>/dev/null | awk '{ s=\"\"; d=\"\"; b=0; "
    "for (i=1;i<=NF;i++) { if (s==\"\" && $i ~ /^src=/) { split(substr($i,5),a,"
    "\".\"); s=a[1] \".\" a[2] \".\" a[3] } if (d==\"\" && $i ~ /^dport=/) "
    "d=substr($i,7); if ($i ~ /^bytes=/) b+=substr($i,7) } sum[s \" \" d]+=b } "
    "END { for (k in sum) print k, sum[k] }' >/dev/null";

}  // namespace

std::vector<Row> FlowRows() {
  return {
      {.name = "flows-100k",
       .measured = "SummarizeFlows of 100,000 flows by /24, at the client",
       .against = "bare ctnetlink dump loop",
       .target = 1.3,
       .run = AgainstBareDump},
      {.name = "flows-100k-conntrack",
       .measured = "CPU of the server for the same",
       .against = "CPU of conntrack -L",
       .target = 4,
       .at_least = true,
       .run =
           [](const Scale& scale) {
             return AgainstCommand(scale, kList, false);
           }},
      {.name = "flows-groups",
       .measured = "CPU of SummarizeFlows of 100,000 flows by /24 and port",
       .against = "CPU of conntrack -L through awk",
       .target = 8,
       .at_least = true,
       .run =
           [](const Scale& scale) {
             return AgainstCommand(scale, kAwk, true);
           }},
  };
}

}  // namespace nfmeter::bench
