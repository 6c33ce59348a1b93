#include "app/metrics.h"

#include <sys/utsname.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "app/capabilities.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "interpose/connections.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "security/access/access.h"
#include "security/listen/certificate_expiry.h"
#include "service/snapshot/snapshot_frames.h"
#include "telemetry/domain_metrics.h"

namespace nfmeter::app {
namespace {

using telemetry::MetricsText;
using Type = MetricsText::Type;

// Those of our own services, which pass the gate.
std::vector<telemetry::CallMetrics::Method> CountedMethods() {
  std::vector<telemetry::CallMetrics::Method> methods;
  for (const security::Method& method : security::AllMethods()) {
    if (!absl::StartsWith(method.name, "nfmeter.")) continue;
    const auto* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
            absl::StrReplaceAll(method.name, {{"/", "."}}));
    methods.push_back(
        {std::string(method.name),
         descriptor != nullptr && descriptor->server_streaming()});
  }
  return methods;
}

void WriteBuildInfo(MetricsText& text) {
  utsname kernel{};
  uname(&kernel);
  text.Family("nfmeter_build_info", Type::kGauge,
              "1, with the versions of server and kernel.");
  text.Add({{"version", NFMETER_VERSION}, {"kernel_release", kernel.release}},
           uint64_t{1});
}

void WriteKernelParts(const kernel::Kernel& kernel, MetricsText& text) {
  text.Family("nfmeter_kernel_part_available", Type::kGauge,
              "Whether the kernel has what the server needs for a part of its "
              "work.");
  for (const service::NodeCapability& each :
       NodeCapabilities(*kernel.capabilities(), "", "")) {
    text.Add({{"part", each.name}}, uint64_t{each.available});
  }
}

void WriteCertificate(const std::string& file, MetricsText& text) {
  const absl::StatusOr<security::CertificateLifetime> lifetime =
      security::ReadCertificateLifetime(file);
  text.Family("nfmeter_tls_certificate_readable", Type::kGauge,
              "Whether the file of the server's certificate can be read.");
  text.Add(uint64_t{lifetime.ok()});
  if (!lifetime.ok()) return;
  text.Family("nfmeter_tls_certificate_not_before_seconds", Type::kGauge,
              "When the server's certificate began to be good, since the Unix "
              "epoch.");
  text.Add(absl::ToDoubleSeconds(lifetime->not_before - absl::UnixEpoch()));
  text.Family("nfmeter_tls_certificate_not_after_seconds", Type::kGauge,
              "When it expires.");
  text.Add(absl::ToDoubleSeconds(lifetime->not_after - absl::UnixEpoch()));
}

void WriteStreams(const MetricSources& sources, MetricsText& text) {
  text.Family("nfmeter_streams_open", Type::kGauge, "Streams under way.");
  text.Add({{"kind", "snapshots"}},
           uint64_t{sources.snapshot_service.open_streams()});
  text.Add({{"kind", "quota_events"}}, uint64_t{sources.quota_streams.open()});
  text.Family("nfmeter_streams_limit", Type::kGauge,
              "The most streams that may be open, all kinds together.");
  text.Add(uint64_t{sources.streams.max()});
  const service::FrameStats& frames = sources.snapshot_service.frame_stats();
  text.Family("nfmeter_snapshot_frames_sent_total", Type::kCounter,
              "Frames of snapshots sent to subscribers.");
  text.Add(frames.sent.Read());
  text.Family("nfmeter_snapshot_frames_missed_total", Type::kCounter,
              "Frames that subscribers were too slow for.");
  text.Add(frames.missed.Read());
  text.Family("nfmeter_snapshot_frames_encoded_total", Type::kCounter,
              "Frames encoded; each is sent to many.");
  text.Add(frames.encoded.Read());
}

void WriteGate(const service::Gate& gate, MetricsText& text) {
  const auto add = [&](auto value_of) {
    for (const security::Work work : security::kAllWork) {
      if (work == security::Work::kAtOnce) continue;
      text.Add({{"kind", security::WorkName(work)}}, uint64_t{value_of(work)});
    }
  };
  text.Family("nfmeter_call_threads_busy", Type::kGauge,
              "Threads that carry out unary calls.");
  add([&](security::Work work) { return gate.load(work).busy; });
  text.Family("nfmeter_call_threads_limit", Type::kGauge,
              "The most there may be, of each kind.");
  text.Add(uint64_t{gate.options().max_threads});
  text.Family("nfmeter_calls_waiting", Type::kGauge,
              "Unary calls that wait for a thread.");
  add([&](security::Work work) { return gate.load(work).waiting; });
}

void WriteConnections(MetricsText& text) {
  using Verdict = security::FrameGuard::Verdict;
  const security::Connections& connections = security::Connections::All();
  const security::Connections::Stats stats = connections.stats();
  text.Family("nfmeter_connections_open", Type::kGauge,
              "Connections to the server's listeners.");
  text.Add(uint64_t{stats.open});
  text.Family("nfmeter_connections_limit", Type::kGauge,
              "The most there may be.");
  text.Add(uint64_t{connections.max_connections()});
  text.Family("nfmeter_http2_streams_open", Type::kGauge,
              "Calls and streams on them, as their clients see them.");
  text.Add(uint64_t{stats.open_streams});
  text.Family("nfmeter_request_bytes_pending", Type::kGauge,
              "Bytes of requests that are not answered yet.");
  text.Add(uint64_t{stats.request_bytes});
  text.Family("nfmeter_connections_dropped_total", Type::kCounter,
              "Connections that were closed for what their clients did: took "
              "back calls again and again, opened or sent more than they may, "
              "sent frames that ask for nothing.");
  for (const Verdict each : {Verdict::kResets, Verdict::kOpenStreams,
                             Verdict::kIdleFrames, Verdict::kRequestBytes}) {
    text.Add({{"reason", security::VerdictName(each)}},
             stats.dropped[static_cast<size_t>(each)]);
  }
  text.Family("nfmeter_connections_refused_total", Type::kCounter,
              "Connections that were not let in: their clients had one dropped "
              "just before (penalty), there were too many (limit), or too many "
              "waited for their turn (turn).");
  text.Add({{"reason", "penalty"}}, stats.refused);
  text.Add({{"reason", "limit"}}, stats.beyond_limit);
  text.Add({{"reason", "turn"}}, stats.turned_away);
  text.Family(
      "nfmeter_connections_delayed_total", Type::kCounter,
      "Connections that waited for their turn, as the server had to end "
      "others from the same network as soon as they came.");
  text.Add(stats.delayed);
}

void WriteRequestCache(const service::RequestCache& requests,
                       MetricsText& text) {
  const service::RequestCache::Stats stats = requests.stats();
  text.Family("nfmeter_request_cache_answers", Type::kGauge,
              "Answers kept for repeated request_ids.");
  text.Add(uint64_t{stats.entries});
  text.Family("nfmeter_request_cache_bytes", Type::kGauge, "Bytes of them.");
  text.Add(uint64_t{stats.bytes});
  text.Family("nfmeter_request_cache_hits_total", Type::kCounter,
              "Requests that got an answer kept from before.");
  text.Add(stats.hits);
}

void WriteAudit(const telemetry::AuditLog& audit, MetricsText& text) {
  text.Family("nfmeter_audit_lines_lost_total", Type::kCounter,
              "Lines that could not be written to the audit log.");
  text.Add(audit.lost());
}

}  // namespace

Metrics::Metrics(const Config& config)
    : config_(config), calls_(CountedMethods()) {}

absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Metrics::Serve(
    const MetricSources& sources) {
  AddServer(sources);
  AddDomain(sources);
  AddServices(sources);
  NFM_ASSIGN_OR_RETURN(auto server, telemetry::MetricsServer::Start(
                                        {.host = config_.metrics.listen->host,
                                         .port = config_.metrics.listen->port},
                                        [this] { return page_.Render(); }));
  security::Connections::All().Exempt(server->listener());
  return server;
}

void Metrics::AddServer(const MetricSources& sources) {
  page_.Add(WriteBuildInfo);
  page_.Add([this](MetricsText& text) { process_.Write(text); });
  page_.Add([&kernel = sources.domain.kernel()](MetricsText& text) {
    WriteKernelParts(kernel, text);
  });
  if (config_.listen.tls.has_value()) {
    page_.Add([file = config_.listen.tls->certificate](MetricsText& text) {
      WriteCertificate(file, text);
    });
  }
}

void Metrics::AddDomain(const MetricSources& sources) {
  if (sources.domain.kernel().capabilities()->acct.ok()) {
    counters_ = std::make_unique<telemetry::CounterMetrics>(
        sources.domain.totals(),
        telemetry::CounterMetrics::Options{
            .name_glob = config_.metrics.counters,
            .max_counters = config_.metrics.max_counters});
    page_.Add([this](MetricsText& text) { counters_->Write(text); });
  }
  page_.Add([&domain = sources.domain](MetricsText& text) {
    telemetry::WriteLaneMetrics(domain.lanes(), text);
    telemetry::WriteSnapshotMetrics(domain.snapshots(), text);
    telemetry::WriteQuotaMetrics(domain.quotas(), text);
    text.Family("nfmeter_xtables_lock_wait_seconds", Type::kHistogram,
                "Time that changes of rules waited for the lock that all users "
                "of iptables share.");
    text.Add({}, kernel::XtablesLockWaits().Read());
  });
}

void Metrics::AddServices(const MetricSources& sources) {
  page_.Add([this](MetricsText& text) { calls_.Write(text); });
  page_.Add([sources](MetricsText& text) {
    WriteGate(sources.gate, text);
    if (security::Connections::All().guards()) WriteConnections(text);
    WriteStreams(sources, text);
    WriteRequestCache(sources.requests, text);
    WriteAudit(sources.audit, text);
  });
}

}  // namespace nfmeter::app
