// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/netlink_flow_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/conntrack/flow_codec.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {
namespace {

constexpr char kFolder[] = "/proc/sys/net/netfilter/";

UniqueFd OpenSetting(const char* name, int mode = O_RDONLY) {
  return UniqueFd(open(absl::StrCat(kFolder, name).c_str(), mode | O_CLOEXEC));
}

absl::Status TurnOn(const char* name) {
  const UniqueFd setting = OpenSetting(name, O_WRONLY);
  if (setting.valid() && write(setting.get(), "1\n", 2) == 2) {
    return absl::OkStatus();
  }
  return ErrnoStatus(Operation::kConntrackSettings, errno,
                     absl::StrCat(kFolder, name));
}

// The kernel goes on with a dump when the message before has been received, so
// little is ever queued.
constexpr int kDumpBufferBytes = 1 << 20;

// Listens to NFNLGRP_CONNTRACK_DESTROY on a socket of its own. Never in the
// reliable mode, in which flows stay until somebody has read of their end: a
// reader that stops would fill the table.
class NetlinkFlowDeaths : public FlowDeaths {
 public:
  static absl::StatusOr<std::unique_ptr<FlowDeaths>> Open(
      const NetworkNamespace& there, int receive_buffer_bytes) {
    NFM_ASSIGN_OR_RETURN(auto socket,
                         NetlinkSocket::OpenIn(there, receive_buffer_bytes));
    if (const int err = socket->Join(NFNLGRP_CONNTRACK_DESTROY); err != 0) {
      return ErrnoStatus(Operation::kFlowEvents, err, "ends of flows");
    }
    return std::unique_ptr<FlowDeaths>(
        new NetlinkFlowDeaths(std::move(socket)));
  }

  absl::StatusOr<Outcome> Drain(OnFlow on_death) override {
    Outcome outcome;
    while (true) {
      const NetlinkSocket::Received received = socket_->Receive();
      if (received.err == EAGAIN) break;
      if (received.err == ENOBUFS) {
        outcome.any_lost = true;
        continue;
      }
      if (received.err != 0) {
        return ErrnoStatus(Operation::kFlowEvents, received.err,
                           "ends of flows");
      }
      FlowMessageReader reader(received.datagram);
      while (const FlowMessage* message = reader.Next()) {
        if (message->kind != FlowMessage::Kind::kDeath) continue;
        ++outcome.deaths;
        on_death(message->flow);
      }
    }
    // ENOBUFS gives no number; the socket's own count does.
    const uint32_t drops = socket_->Drops();
    outcome.lost = drops - std::exchange(drops_, drops);
    outcome.any_lost |= outcome.lost > 0;
    if (outcome.any_lost) outcome.lost = std::max<uint64_t>(outcome.lost, 1);
    return outcome;
  }

 private:
  explicit NetlinkFlowDeaths(std::unique_ptr<NetlinkSocket> socket)
      : socket_(std::move(socket)) {}

  const std::unique_ptr<NetlinkSocket> socket_;
  uint32_t drops_ = 0;  // of the socket, when it was last drained
};

absl::Status Failed(int err) {
  return ErrnoStatus(Operation::kFlowDump, err, "connection tracking");
}

// Flows that come twice at the border of two messages. ctnetlink_dump_table()
// remembers the flow that did not fit; if that one is gone by then, it goes on
// from the beginning of the flow's bucket, and what had been sent of that
// comes again.
class BorderRepeats {
 public:
  void NextMessage() {
    before_.swap(now_);
    now_.clear();
  }

  bool IsRepeat(const FlowRecord& flow) {
    const uint64_t identity = FlowIdentity(flow);
    now_.insert(identity);
    return before_.contains(identity);
  }

 private:
  absl::flat_hash_set<uint64_t> before_;
  absl::flat_hash_set<uint64_t> now_;
};

// One request and its answers.
class FlowDump {
 public:
  FlowDump(NetlinkSocket& socket, OnFlow on_flow)
      : socket_(socket),
        on_flow_(on_flow),
        sequence_(socket.TakeSequences(1)) {}

  absl::Status Run(const FlowDumpFilter& filter,
                   absl::FunctionRef<FlowDumpStep()> between) {
    std::string request;
    AppendFlowDump(filter, sequence_, request);
    return Ask(request, between);
  }

  // Whether the kernel would answer, without a walk of its table.
  absl::Status Probe() {
    std::string request;
    AppendFlowCount(sequence_, request);
    return Ask(request, [] { return FlowDumpStep::kGoOn; });
  }

  size_t flows() const { return flows_; }
  bool interrupted() const { return interrupted_; }

 private:
  absl::Status Ask(const std::string& request,
                   absl::FunctionRef<FlowDumpStep()> between) {
    if (const int err = socket_.Send(request); err != 0) return Failed(err);
    while (!done_) {
      const NetlinkSocket::Received received = socket_.Receive();
      if (received.err != 0) {
        return Failed(received.err == EAGAIN ? ENOBUFS : received.err);
      }
      NFM_RETURN_IF_ERROR(Take(received.datagram));
      if (!done_ && between() == FlowDumpStep::kStop) {
        return absl::CancelledError("the dump of flows was stopped");
      }
    }
    return absl::OkStatus();
  }

  absl::Status Take(absl::Span<const uint8_t> datagram) {
    repeats_.NextMessage();
    FlowMessageReader reader(datagram);
    while (const FlowMessage* message = reader.Next()) {
      if (message->sequence != sequence_) continue;
      interrupted_ |= message->dump_interrupted;
      if (message->err != 0) return Failed(message->err);
      if (message->kind == FlowMessage::Kind::kDone ||
          message->kind == FlowMessage::Kind::kError) {
        done_ = true;
      }
      if (message->kind != FlowMessage::Kind::kFlow) continue;
      if (repeats_.IsRepeat(message->flow)) continue;
      ++flows_;
      on_flow_(message->flow);
    }
    return absl::OkStatus();
  }

  NetlinkSocket& socket_;
  const OnFlow on_flow_;
  const uint32_t sequence_;
  BorderRepeats repeats_;
  size_t flows_ = 0;
  bool interrupted_ = false;
  bool done_ = false;
};

}  // namespace

ConntrackSettings::ConntrackSettings()
    : accounting_(OpenSetting("nf_conntrack_acct")),
      timestamps_(OpenSetting("nf_conntrack_timestamp")),
      events_(OpenSetting("nf_conntrack_events")),
      flows_(OpenSetting("nf_conntrack_count")),
      max_flows_(OpenSetting("nf_conntrack_max")),
      buckets_(OpenSetting("nf_conntrack_buckets")) {}

absl::StatusOr<FlowTracking> ConntrackSettings::Read() const {
  if (!flows_.valid()) {
    return ErrnoStatus(Operation::kConntrackSettings, ENOENT,
                       "/proc/sys/net/netfilter");
  }
  return FlowTracking{.accounting = Number(accounting_) != 0,
                      .timestamps = Number(timestamps_) != 0,
                      .events = static_cast<int>(Number(events_)),
                      .flows = Number(flows_),
                      .max_flows = Number(max_flows_),
                      .buckets = Number(buckets_)};
}

uint32_t ConntrackSettings::Buckets() const { return Number(buckets_); }

absl::Status ConntrackSettings::EnableAccounting() const {
  if (!accounting_.valid()) {
    return ErrnoStatus(Operation::kConntrackSettings, ENOENT,
                       "/proc/sys/net/netfilter");
  }
  NFM_RETURN_IF_ERROR(TurnOn("nf_conntrack_acct"));
  // Left out of kernels built without NF_CONNTRACK_TIMESTAMP.
  if (!timestamps_.valid()) return absl::OkStatus();
  return TurnOn("nf_conntrack_timestamp");
}

uint32_t ConntrackSettings::Number(const UniqueFd& setting) {
  char text[16];
  const ssize_t size =
      setting.valid() ? pread(setting.get(), text, sizeof(text), 0) : -1;
  uint32_t value = 0;
  const bool read =
      size > 0 && absl::SimpleAtoi(absl::StripAsciiWhitespace(absl::string_view(
                                       text, static_cast<size_t>(size))),
                                   &value);
  return read ? value : 0;
}

std::unique_ptr<NetlinkFlowTable> NetlinkFlowTable::Open(
    const Options& options) {
  std::unique_ptr<NetlinkFlowTable> table(new NetlinkFlowTable(options));
  // The first request loads the modules, if they can be loaded, and then the
  // settings are there.
  table->Probe().IgnoreError();
  table->settings_ = std::make_unique<ConntrackSettings>();
  return table;
}

absl::Status NetlinkFlowTable::Probe() {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(namespace_, kDumpBufferBytes));
  return FlowDump(*socket, [](const FlowRecord&) {}).Probe();
}

absl::StatusOr<FlowTracking> NetlinkFlowTable::Tracking() {
  return settings_->Read();
}

absl::Status NetlinkFlowTable::EnableAccounting() {
  const NetworkNamespace here;
  if (const int err = namespace_.Enter(); err != 0) {
    return ErrnoStatus(Operation::kConntrackSettings, err, "network namespace");
  }
  const absl::Status status = settings_->EnableAccounting();
  if (const int err = here.Enter(); err != 0) {
    return ErrnoStatus(Operation::kConntrackSettings, err, "network namespace");
  }
  return status;
}

absl::StatusOr<FlowDumpOutcome> NetlinkFlowTable::Dump(
    const FlowDumpFilter& filter, OnFlow on_flow,
    absl::FunctionRef<FlowDumpStep()> between) {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(namespace_, kDumpBufferBytes));
  FlowDump dump(*socket, on_flow);
  // A resize moves flows to where the dump has been, and to where it still has
  // to go; the kernel does not report it.
  const uint32_t buckets = settings_->Buckets();
  const absl::Status status = dump.Run(filter, between);
  // A kernel before 5.8 may not know such a filter.
  if (absl::IsUnimplemented(status) && filter.has_any()) {
    return Dump({}, on_flow, between);
  }
  NFM_RETURN_IF_ERROR(status);
  const bool resized = settings_->Buckets() != buckets;
  return FlowDumpOutcome{.flows = dump.flows(),
                         .complete = !dump.interrupted() && !resized};
}

absl::StatusOr<std::unique_ptr<FlowDeaths>> NetlinkFlowTable::WatchDeaths() {
  return NetlinkFlowDeaths::Open(namespace_, options_.death_buffer_bytes);
}

}  // namespace nfmeter::kernel
