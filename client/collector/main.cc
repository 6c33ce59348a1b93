// SPDX-License-Identifier: Apache-2.0
// The command nfmeter-collector.
#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "collector/collector.h"
#include "collector/event_relay.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "collector/open_sink.h"
#include "collector/target_watch.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "nfmeter/errors.h"
#include "nfmeter/fleet.h"

namespace nfmeter::collector {
namespace {

// Exit codes.
constexpr int kOk = 0;
constexpr int kError = 1;      // it may go by itself
constexpr int kMendFirst = 2;  // flags, the targets' file, the schema

struct Flags {
  std::string targets = "/etc/nfmeter-collector/nodes.yaml";
  std::string sink;
  std::string sink_file;
  std::string name;
  std::string consumer = "nfmeter-collector";
  std::string lease = "15s";
  std::string metrics;
  std::string events;
  unsigned memory_mib = 128;
  int connections = 4;
  bool check_config = false;
  std::string output = "table";
};

// gw-7-1234-9f3c: other than that of the process before it, which may still be
// believed alive.
std::string DefaultName() {
  char host[256] = "collector";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(
      host, "-", getpid(), "-",
      absl::Hex(std::random_device()() & 0xffff, absl::kZeroPad4));
}

int Fail(const absl::Status& status) {
  std::cerr << "nfmeter-collector: " << status.message() << "\n";
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)
             ? kError
             : kMendFirst;
}

absl::StatusOr<std::string> SinkUrl(const Flags& flags) {
  if (!flags.sink_file.empty()) {
    std::ifstream file(flags.sink_file);
    std::string url;
    if (!std::getline(file, url)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--sink-file ", flags.sink_file, " has no URL or can't be read"));
    }
    return std::string(absl::StripAsciiWhitespace(url));
  }
  return flags.sink.empty() ? DefaultSink() : flags.sink;
}

absl::StatusOr<absl::Duration> LeaseOf(const Flags& flags) {
  absl::Duration lease;
  if (!absl::ParseDuration(flags.lease, &lease) || lease < absl::Seconds(1) ||
      lease > absl::Hours(1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--lease ", flags.lease, ": must be from 1s to 1h, such as 15s"));
  }
  return lease;
}

// Of the lines of a stream's board a name is one word.
absl::Status CheckName(const Flags& flags) {
  const auto separates = [](char c) {
    return absl::ascii_isspace(static_cast<unsigned char>(c)) ||
           absl::ascii_iscntrl(static_cast<unsigned char>(c));
  };
  if (std::any_of(flags.name.begin(), flags.name.end(), separates)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--name '", absl::CHexEscape(flags.name),
                     "': must be one word, such as collector-1"));
  }
  return absl::OkStatus();
}

// As the nodes want it, which would each refuse it.
absl::Status CheckConsumer(const Flags& flags) {
  constexpr size_t kMost = 63;
  const auto belongs = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
           c == '_' || c == '-';
  };
  if (!flags.consumer.empty() && flags.consumer.size() <= kMost &&
      std::all_of(flags.consumer.begin(), flags.consumer.end(), belongs)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--consumer '", absl::CHexEscape(flags.consumer),
                   "': must be 1 to ", kMost, " of [A-Za-z0-9._-]"));
}

absl::Status CheckEvents(const Flags& flags, const std::string& sink) {
  if (flags.events.empty() || KeepsEvents(sink)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--events: --sink ", ShownSink(sink),
                   " keeps no events; postgresql://... does"));
}

// What can be said of flags by themselves. `sink`: its URL.
absl::Status CheckFlags(const Flags& flags, const std::string& sink) {
  NFM_RETURN_IF_ERROR(LeaseOf(flags).status());
  NFM_RETURN_IF_ERROR(CheckName(flags));
  NFM_RETURN_IF_ERROR(CheckConsumer(flags));
  NFM_RETURN_IF_ERROR(CheckEvents(flags, sink));
  return flags.metrics.empty() ? absl::OkStatus()
                               : CheckMetricsAddress(flags.metrics);
}

// Nodes that do not answer are told, but are no mistake of the file's.
void CheckNodes(const TargetsFile& file, Fleet& fleet) {
  CallOptions once;
  once.timeout = absl::Seconds(5);
  size_t reached = 0;
  for (const auto& [node, answer] : fleet.GetNodes(once)) {
    if (answer.ok()) {
      ++reached;
    } else {
      std::cout << node << ": does not answer: " << answer.status().message()
                << "\n";
    }
  }
  std::cout << reached << " of " << file.targets.size() << " nodes answer\n";
}

// What all of it says, without changing anything.
absl::Status CheckConfig(const Flags& flags, const std::string& url) {
  NFM_ASSIGN_OR_RETURN(const TargetsFile file, ReadTargets(flags.targets));
  std::vector<FleetMember> members;
  for (const Target& target : file.targets) {
    members.push_back({target.name, OptionsFor(target)});
  }
  const auto fleet = Fleet::Connect(members);
  if (!fleet.ok()) {
    return absl::Status(
        fleet.status().code(),
        absl::StrCat(flags.targets, ": target ", fleet.status().message(), "\n",
                     ErrorHint(fleet.status())));
  }
  const absl::Status sink =
      OpenSink({.url = url, .only_inspect = true, .check_rights = true})
          .status();
  // A SQLite file, a schema or a stream is made when it is needed.
  if (!sink.ok() && !absl::IsNotFound(sink)) return sink;
  std::cout << flags.targets << ": " << CountOf(file.targets.size(), "node")
            << ", " << CountOf(file.discover.size(), "name") << " to discover\n"
            << "sink: " << ShownSink(url) << "\n";
  if (!flags.events.empty()) {
    NFM_RETURN_IF_ERROR(EventRelay::Check(flags.events));
    std::cout << "events: " << ShownSink(flags.events) << "\n";
  }
  CheckNodes(file, **fleet);
  return absl::OkStatus();
}

// --- status

std::string Age(absl::Time time, absl::Time now) {
  if (time == absl::InfinitePast()) return "-";
  const absl::Duration age = now - time;
  return absl::FormatDuration(absl::Trunc(age, age < absl::Minutes(1)
                                                   ? absl::Milliseconds(100)
                                                   : absl::Seconds(1)));
}

// A table for people.
std::string StatusTable(const FleetStatus& status, absl::Time now) {
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "ADDRESS", "COLLECTOR", "LAG", "STORED", "RECORD", "STATE"}};
  for (const NodeStatus& node : status.nodes) {
    rows.push_back({node.name, node.address.empty() ? "-" : node.address,
                    node.collector.empty() ? "-" : node.collector,
                    Age(node.record_time, now), Age(node.stored_time, now),
                    absl::StrCat(node.sequence),
                    !node.error.empty()    ? node.error
                    : node.address.empty() ? "no target any more"
                                           : "ok"});
  }
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text =
      absl::StrCat(CountOf(status.collectors.size(), "collector"), ", ",
                   status.shards_held, " of ", kShards, " shards held, ",
                   CountOf(status.nodes.size(), "node"), "\n\n");
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      absl::StrAppendFormat(&text, "%-*s  ", static_cast<int>(widths[i]),
                            row[i]);
    }
    absl::StrAppend(&text, row.back(), "\n");
  }
  return text;
}

// One JSON object for programs; lags in seconds, null where nothing is stored.
std::string StatusJson(const FleetStatus& status, absl::Time now) {
  google::protobuf::Struct object;
  auto& fields = *object.mutable_fields();
  auto* collectors = fields["collectors"].mutable_list_value();
  for (const std::string& name : status.collectors) {
    collectors->add_values()->set_string_value(name);
  }
  fields["shards"].set_number_value(kShards);
  fields["shards_held"].set_number_value(status.shards_held);
  auto* nodes = fields["nodes"].mutable_list_value();
  for (const NodeStatus& node : status.nodes) {
    auto& row = *nodes->add_values()->mutable_struct_value()->mutable_fields();
    row["node"].set_string_value(node.name);
    row["address"].set_string_value(node.address);
    row["node_id"].set_string_value(node.node_id);
    row["collector"].set_string_value(node.collector);
    row["error"].set_string_value(node.error);
    row["sequence"].set_number_value(static_cast<double>(node.sequence));
    if (node.record_time == absl::InfinitePast()) {
      row["lag_seconds"].set_null_value(google::protobuf::NULL_VALUE);
    } else {
      row["lag_seconds"].set_number_value(
          absl::ToDoubleSeconds(now - node.record_time));
    }
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(object, &json);
  return absl::StrCat(json, "\n");
}

absl::Status PrintStatus(const Flags& flags) {
  NFM_ASSIGN_OR_RETURN(const std::string url, SinkUrl(flags));
  NFM_ASSIGN_OR_RETURN(const auto sink,
                       OpenSink({.url = url, .only_inspect = true}));
  NFM_ASSIGN_OR_RETURN(const FleetStatus status, sink->Inspect());
  std::cout << (flags.output == "json" ? StatusJson(status, absl::Now())
                                       : StatusTable(status, absl::Now()));
  return absl::OkStatus();
}

// --- The collector

// `ends`: the signals that end it.
absl::Status Collect(const Flags& flags, const sigset_t& ends) {
  NFM_ASSIGN_OR_RETURN(const std::string url, SinkUrl(flags));
  NFM_RETURN_IF_ERROR(CheckFlags(flags, url));
  if (flags.check_config) return CheckConfig(flags, url);
  NFM_ASSIGN_OR_RETURN(TargetsFile file, ReadTargets(flags.targets));
  NFM_ASSIGN_OR_RETURN(
      const auto sink,
      OpenSink({.url = url, .connections = flags.connections}));

  // What may fail comes before the collector joins: others would give it nodes.
  std::unique_ptr<EventRelay> relay;
  if (!flags.events.empty()) {
    NFM_ASSIGN_OR_RETURN(relay, EventRelay::Start(flags.events, *sink));
  }
  std::atomic<const Collector*> measured = nullptr;
  std::unique_ptr<MetricsServer> metrics;
  if (!flags.metrics.empty()) {
    NFM_ASSIGN_OR_RETURN(
        metrics, MetricsServer::Start(flags.metrics, [&measured] {
          const Collector* const collector = measured;
          return collector == nullptr
                     ? std::string()
                     : MetricsPage(collector->state(), absl::Now());
        }));
  }
  const std::string name = flags.name.empty() ? DefaultName() : flags.name;
  Collector collector({.name = name,
                       .consumer = flags.consumer,
                       .lease = *LeaseOf(flags),
                       .memory = uint64_t{flags.memory_mib} << 20,
                       .store_threads = flags.connections},
                      *sink);
  measured = &collector;
  const TargetWatch watch({.path = flags.targets}, std::move(file),
                          [&collector](std::vector<Target> targets) {
                            collector.SetTargets(std::move(targets));
                          });
  Log(Level::kInfo, "collecting",
      {{"sink", ShownSink(url)},
       {"name", name},
       {"consumer", flags.consumer},
       {"metrics", metrics == nullptr ? "none" : metrics->url()}});
  int signal = 0;
  sigwait(&ends, &signal);
  Log(Level::kInfo, "ending");
  metrics.reset();
  return absl::OkStatus();
}

int Run(int argc, char** argv, const sigset_t& ends) {
  Flags flags;
  CLI::App app(
      "Follows the ledgers of many nfmeterds and stores what they counted, "
      "each byte once.",
      "nfmeter-collector");
  app.set_version_flag("--version", "nfmeter-collector " NFMETER_VERSION);
  app.add_option("--targets", flags.targets, "Which nodes to follow")
      ->type_name("FILE")
      ->capture_default_str();
  const auto add_sink = [&flags](CLI::App& to) {
    auto* sink = to.add_option("--sink", flags.sink,
                               "Where to store: sqlite:PATH, postgresql://..., "
                               "nats://... (default: a SQLite file in the "
                               "state directory)")
                     ->type_name("URL")
                     ->envname("NFMETER_COLLECTOR_SINK");
    to.add_option("--sink-file", flags.sink_file,
                  "File with that URL, where it has a password")
        ->type_name("FILE")
        ->excludes(sink);
  };
  add_sink(app);
  app.add_option("--name", flags.name,
                 "Name of this collector among all (default: host, process and "
                 "a random number)");
  app.add_option("--consumer", flags.consumer,
                 "Name by which the nodes know this fleet; another one for "
                 "each database")
      ->capture_default_str();
  app.add_option("--lease", flags.lease,
                 "How long a collector that has died keeps its nodes")
      ->type_name("TIME")
      ->capture_default_str();
  app.add_option("--metrics", flags.metrics,
                 "Serve metrics for Prometheus over HTTP here")
      ->type_name("HOST:PORT");
  app.add_option("--events", flags.events,
                 "NATS server for events of the fleet (gaps, new nodes), as "
                 "CloudEvents in stream NFMETER_EVENTS; with PostgreSQL only")
      ->type_name("nats://HOST:PORT");
  app.add_option("--memory", flags.memory_mib,
                 "MiB of records under way from all nodes together")
      ->check(CLI::Range(1u, 65'536u))
      ->capture_default_str();
  app.add_option("--connections", flags.connections,
                 "Connections to the database")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_flag("--check-config", flags.check_config,
               "Check flags, targets and sink, and end");
  CLI::App& status = *app.add_subcommand(
      "status", "Who collects, and how far behind each node is");
  add_sink(status);
  status.add_option("-o,--output", flags.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kOk : kMendFirst;
  }
  const absl::Status done =
      status.parsed() ? PrintStatus(flags) : Collect(flags, ends);
  return done.ok() ? kOk : Fail(done);
}

}  // namespace
}  // namespace nfmeter::collector

int main(int argc, char** argv) {
  // Threads are many and their memory is little: arenas of their own would
  // take more than all records.
  mallopt(M_ARENA_MAX, 4);
  signal(SIGPIPE, SIG_IGN);
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    // Connections that fail are told in this program's own words.
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
  // Before threads are made, which inherit it.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  return nfmeter::collector::Run(argc, argv, ends);
}
