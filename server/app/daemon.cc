// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/daemon.h"

#include <grpcpp/health_check_service_interface.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "app/capabilities.h"
#include "app/connection_guard.h"
#include "app/domain_log.h"
#include "app/grpc_server.h"
#include "app/host_identity.h"
#include "app/metrics.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "kernel/linux/host_kernel.h"
#include "security/access/policy_check.h"
#include "service/plan/read_plan.h"
#include "service/rule/convert_rule.h"
#include "telemetry/domain_metrics.h"

namespace nfmeter::app {
namespace {

// For clients to close their connections. gRPC waits for all of them, and
// those whose program does something else meanwhile let it wait.
constexpr absl::Duration kGoodbye = absl::Milliseconds(100);

service::NodeInfo DescribeHost(const Config& config, Clock& clock) {
  utsname kernel{};
  uname(&kernel);
  struct stat network {};
  stat("/proc/self/ns/net", &network);
  return {
      .hostname = config.hostname.empty() ? kernel.nodename : config.hostname,
      .version = NFMETER_VERSION,
      .kernel_release = kernel.release,
      .network_namespace = network.st_ino,
      .start_time = clock.WallTime()};
}

}  // namespace

Daemon::Daemon(const Config& config)
    : config_(config),
      clock_(SystemClock()),
      metrics_(config_.metrics.listen.has_value()
                   ? std::make_unique<Metrics>(config_)
                   : nullptr),
      node_(DescribeHost(config, clock_)),
      kernel_watch_(clock_),
      audit_log_(config_.audit_file),
      authorizer_(
          ListenerGrants(config_),
          [this](const auto& principal, auto method, const auto& status) {
            NoteRefusal(principal, method, status);
          }),
      gate_(authorizer_, CallObservers(),
            {.read_only = config_.read_only,
             .max_threads = config_.max_threads,
             .max_calls_per_second = config_.limits.max_calls_per_second,
             .max_held_bytes = config_.limits.max_held_bytes,
             .trace_all = config_.log_level == telemetry::LogLevel::kDebug}),
      requests_(clock_),
      streams_(config_.limits.max_streams,
               config_.limits.max_streams_per_caller) {}

// Stops what tells the streams of plans, before these are destroyed.
Daemon::~Daemon() {
  file_plans_.reset();
  if (domain_ != nullptr) domain_->plans().Stop();
}

std::vector<telemetry::CallObserver*> Daemon::CallObservers() {
  std::vector<telemetry::CallObserver*> observers = {&audit_log_, &call_log_,
                                                     &kernel_watch_};
  if (metrics_ != nullptr) observers.push_back(&metrics_->calls());
  return observers;
}

void Daemon::NoteRefusal(const std::string& principal, absl::string_view method,
                         const absl::Status& status) {
  const telemetry::CallRecord record = {
      .method = method, .principal = principal, .status = status};
  audit_log_.OnCallEnded(record);
  call_log_.OnCallEnded(record);
}

absl::Status Daemon::OpenKernel() {
  NFM_ASSIGN_OR_RETURN(
      kernel_, kernel::OpenHostKernel(
                   {.backend = config_.backend, .read_only = config_.read_only},
                   clock_));
  if (config_.enable_flow_accounting) EnableFlowAccounting();
  return absl::OkStatus();
}

void Daemon::EnableFlowAccounting() {
  flow_accounting_ = kernel_->flows().EnableAccounting();
  if (flow_accounting_.ok()) {
    Log(telemetry::LogLevel::kInfo, "accounting of flows is on");
  } else {
    Log(telemetry::LogLevel::kError,
        "accounting of flows could not be turned on",
        {{"error", flow_accounting_.message()}});
  }
}

absl::Status Daemon::OpenPolicy() {
  if (config_.policy.empty()) return absl::OkStatus();
  policy_file_ =
      std::make_unique<security::PolicyFile>(config_.policy, authorizer_);
  return policy_file_->Refresh().status();
}

absl::Status Daemon::OpenState() {
  NFM_ASSIGN_OR_RETURN(state_, StateDirectory::Open(config_.state_dir));
  accounting::Domain::Options options{
      .ledger = {.path = state_->File("ledger.db"),
                 .host = ReadHostIdentity(),
                 .retention = config_.retention,
                 .on_writable =
                     [this](const absl::Status& status) {
                       LogWritable(status);
                       SetHealth();
                     }},
      .labels = {.max_bytes = config_.limits.max_label_bytes,
                 .max_bytes_per_scope =
                     config_.limits.max_label_bytes_per_scope},
      .snapshots = {.min_interval = config_.limits.min_snapshot_interval,
                    .max_counters = config_.limits.max_counters},
      .flows = {.min_interval = config_.limits.min_flow_interval,
                .max_groups = config_.limits.max_flow_groups,
                .max_watched_flows = config_.limits.max_watched_flows}};
  options.plans_path = state_->File("plans.db");
  options.quotas_path = state_->File("quotas.db");
  options.read_plan = service::ReadPlanSource;
  options.rules_path = state_->File("rules.db");
  options.rule_codec = service::RuleCodec();
  options.plans.read_only = config_.read_only;
  options.plans.budget = {.max_rules = config_.limits.max_plan_rules,
                          .max_chains = config_.limits.max_plan_chains,
                          .max_met = config_.limits.max_plan_rules_met};
  if (!config_.read_only) options.on_labels_pruned = LogPruning;
  NFM_ASSIGN_OR_RETURN(domain_,
                       accounting::Domain::Open(*kernel_, clock_, options));
  if (const auto ledger = domain_->ledger().status(); !ledger.writable.ok()) {
    LogWritable(ledger.writable);
  }
  if (const std::string labels =
          LabelsNotice(domain_->labels().use(), config_.limits.max_label_bytes);
      !labels.empty()) {
    Log(telemetry::LogLevel::kWarning, "too many labels", {{"detail", labels}});
  }
  if (!config_.state_dir.empty()) {
    NFM_ASSIGN_OR_RETURN(answers_, accounting::AnswerStore::Open(
                                       options.ledger.path,
                                       domain_->ledger().awaits_new_file()));
    NFM_RETURN_IF_ERROR(requests_.KeepIn(*answers_));
    domain_->ledger().WhenBegunAnew([this] {
      answers_->BeginAnew().IgnoreError();
      Log(telemetry::LogLevel::kError, "ledger damaged, and begun anew",
          {{"aside", domain_->ledger().status().damaged_file}});
    });
  }
  FinishQuotaChanges();
  return audit_log_.Open();
}

// Changes that the server before this one began and did not finish.
void Daemon::FinishQuotaChanges() {
  if (config_.read_only || !kernel_->capabilities()->acct.ok()) return;
  LogQuotaChanges(domain_->counter_editor().FinishQuotaChanges(
      clock_.BootTime() + config_.limits.default_rule_change_time));
}

void Daemon::MakeServices() {
  domain_->plans().AddListener(LogPlan);
  domain_->plans().AddRepairListener([this](const accounting::PlanRepair& r) {
    LogRepair(r);
    // A change that no call asked for.
    audit_log_.OnCallEnded({.method = "repair",
                            .mutates = true,
                            .principal = "nfmeterd",
                            .targets = {r.plan},
                            .target_count = 1});
  });
  services_ = std::make_unique<service::Services>(
      service::Services::Parts{
          .gate = gate_,
          .domain = *domain_,
          .requests = requests_,
          .streams = streams_,
          .describe_node = [this] { return DescribeNode(); }},
      config_.limits);
}

void Daemon::FollowPlanFiles() {
  if (config_.plan.empty()) return;
  file_plans_ = std::make_unique<service::FilePlans>(
      service::FilePlans::Options{
          .path = config_.plan,
          .lock_timeout = config_.limits.max_rule_change_time,
          .audit =
              [this](const telemetry::CallRecord& record) {
                audit_log_.OnCallEnded(record);
              }},
      domain_->plans(), clock_);
  file_plans_->Start();
}

absl::Status Daemon::ServeMetrics() {
  if (metrics_ == nullptr) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(metrics_server_,
                       metrics_->Serve(domain_->ledger(), domain_->labels(),
                                       [this](telemetry::MetricsText& text) {
                                         WriteMetrics(text);
                                       }));
  return absl::OkStatus();
}

void Daemon::WriteMetrics(telemetry::MetricsText& text) const {
  WriteHostMetrics(*kernel_, text);
  if (const auto& tls = config_.listen.tls; tls.has_value()) {
    WriteCertificateMetrics(tls->certificate, text);
  }
  WriteLaneMetrics(domain_->lanes(), text);
  WriteSnapshotMetrics(domain_->snapshots(), text);
  WriteQuotaMetrics(domain_->quotas(), text);
  WriteFlowMetrics(domain_->flows(), text);
  WriteLedgerMetrics(domain_->ledger(), text);
  WritePlanMetrics(domain_->plans(), text);
  WriteUnfedMetrics(*domain_, text);
  gate_.WriteMetrics(text);
  streams_.WriteMetrics(text);
  services_->snapshots().WriteMetrics(text);
  requests_.WriteMetrics(text);
  audit_log_.WriteMetrics(text);
}

absl::Status Daemon::Listen() {
  MakeServices();
  // It serves even if this fails: the kernel may lack what counters need.
  if (!config_.read_only) LogRestored(domain_->RestoreCounters());
  NFM_RETURN_IF_ERROR(domain_->plans().Start());
  // Again, as the rules of plans are where they belong now.
  FinishQuotaChanges();
  FollowPlanFiles();
  NFM_RETURN_IF_ERROR(ServeMetrics());
  security::ListenOptions listen = config_.listen;
  if (listen.tls.has_value()) {
    NFM_ASSIGN_OR_RETURN(auto copies, security::TlsCopies::Make(*listen.tls));
    listen.tls = copies->options();
    certificates_ = std::make_unique<CertificateWatch>(std::move(copies));
  }
  // The maximal age of connections, which is for TLS only, is a setting of a
  // whole gRPC server, so TLS gets a server of its own.
  for (const bool over_tls : {false, true}) {
    security::ListenOptions some = listen;
    std::erase_if(some.listeners, [&](const security::ListenerOptions& each) {
      return security::IsOverTls(listen, each.address) != over_tls;
    });
    if (!some.listeners.empty()) NFM_RETURN_IF_ERROR(Serve(some, over_tls));
  }
  listening_ = true;
  NFM_RETURN_IF_ERROR(ServePage());
  SetHealth();
  kernel_watch_.Start(*kernel_, [this] { SetHealth(); });
  return absl::OkStatus();
}

// The page calls the services as everybody does, only not over a socket.
absl::Status Daemon::ServePage() {
  if (!config_.web.listen.has_value()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(
      web_server_,
      web::WebServer::Start(
          *config_.web.listen,
          config_.web.over_tls()
              ? std::optional(certificates_->copies().texts())
              : std::nullopt,
          std::make_unique<web::WebApi>(
              servers_.front()->InProcessChannel(grpc::ChannelArguments()))));
  ConnectionGuard::Exempt(web_server_->listener());
  return absl::OkStatus();
}

absl::Status Daemon::Serve(const security::ListenOptions& listen,
                           bool over_tls) {
  grpc::ServerBuilder builder;
  ConfigureServer(config_, over_tls, builder);
  services_->RegisterWith(builder);
  NFM_ASSIGN_OR_RETURN(auto started,
                       security::StartServer(listen, authorizer_, builder));
  servers_.push_back(std::move(started.server));
  addresses_.insert(addresses_.end(), started.addresses.begin(),
                    started.addresses.end());
  return absl::OkStatus();
}

void Daemon::SetHealth() {
  if (!listening_) return;
  const bool writable = domain_->ledger().status().writable.ok();
  for (const ServiceHealth& each :
       HealthOf(*kernel_->capabilities(), writable)) {
    for (const auto& server : servers_) {
      server->GetHealthCheckService()->SetServingStatus(each.service,
                                                        each.serving);
    }
  }
}

service::NodeInfo Daemon::DescribeNode() const {
  service::NodeInfo node = node_;
  node.capabilities =
      NodeCapabilities(*kernel_->capabilities(), kernel_->acct_backend(),
                       kernel_->rule_backend());
  node.ledger = {.status = domain_->ledger().status(),
                 .retention = config_.retention,
                 .keeps_answers = requests_.durable()};
  node.notices = domain_->Notices();
  if (const std::string labels =
          LabelsNotice(domain_->labels().use(), config_.limits.max_label_bytes);
      !labels.empty()) {
    node.notices.push_back(labels);
  }
  if (file_plans_ != nullptr && !file_plans_->Problem().empty()) {
    node.notices.push_back(absl::StrCat(
        "Plans of ", config_.plan,
        " are wrong, and those from before are in force: ",
        absl::StrReplaceAll(file_plans_->Problem(), {{"\n", "; "}})));
  }
  if (const auto tracking = kernel_->flows().Tracking(); tracking.ok()) {
    node.flow_tracking = *tracking;
  }
  if (!flow_accounting_.ok()) {
    node.notices.push_back(absl::StrCat(
        "Accounting of flows could not be turned on at the start of this "
        "server: ",
        flow_accounting_.message()));
  }
  if (const std::string gone = kernel_watch_.Notice(); !gone.empty()) {
    node.notices.push_back(gone);
  }
  for (std::string& notice : LedgerNotices(domain_->ledger().status())) {
    node.notices.push_back(std::move(notice));
  }
  const std::string wrong =
      policy_file_ == nullptr ? "" : policy_file_->Problem();
  if (!wrong.empty()) {
    node.notices.push_back(absl::StrCat(
        "The policy file is wrong, and the policy from before is in force: ",
        wrong));
  }
  const std::string odd =
      certificates_ == nullptr ? "" : certificates_->Notice();
  if (!odd.empty()) node.notices.push_back(odd);
  if (const uint64_t lost = audit_log_.lost(); lost > 0) {
    node.notices.push_back(absl::StrCat(
        lost,
        " lines of the audit log could not be written since the start of "
        "this server; its log says why."));
  }
  return node;
}

void Daemon::LookAtPolicy() {
  if (policy_file_ == nullptr) return;
  const auto outcome = policy_file_->Refresh();
  if (!outcome.ok()) {
    Log(telemetry::LogLevel::kError, "policy refused, the old one stays",
        {{"error", outcome.status().message()}});
  } else if (*outcome == security::PolicyFile::Outcome::kTaken) {
    services_->AuthorizeAgain(authorizer_);
    Log(telemetry::LogLevel::kInfo, "policy taken",
        {{"file", policy_file_->path()}});
    LogPolicyWarnings();
  }
}

// Not at the start: then they are among the warnings of the configuration.
void Daemon::LogPolicyWarnings() const {
  const security::Policy& policy = *policy_file_->policy();
  const auto log = [](const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) {
      Log(telemetry::LogLevel::kWarning, "odd policy", {{"detail", warning}});
    }
  };
  log(security::FindWarnings(policy));
  log(security::FindClosedListeners(ListenerGrants(config_), &policy));
}

void Daemon::LookAtFiles() {
  LookAtPolicy();
  if (certificates_ == nullptr) return;
  certificates_->Look(config_.web.over_tls() ? web_server_.get() : nullptr);
}

void Daemon::Reload() {
  kernel_watch_.Probe();
  audit_log_.Reopen();
  LookAtFiles();
}

void Daemon::Shutdown(absl::Duration grace) {
  listening_ = false;
  web_server_.reset();
  for (const auto& server : servers_) {
    server->GetHealthCheckService()->Shutdown();
  }
  services_->Shutdown();
  domain_->StopWaiting();
  if (file_plans_ != nullptr) file_plans_->Stop();
  const absl::Time end = absl::Now() + grace;
  gate_.Close(end);
  const auto deadline =
      absl::ToChronoTime(std::min(end, absl::Now() + kGoodbye));
  std::vector<std::thread> endings;
  for (const auto& server : servers_) {
    endings.emplace_back([&server, deadline] { server->Shutdown(deadline); });
  }
  for (std::thread& ending : endings) ending.join();
  for (const auto& server : servers_) server->Wait();
}

}  // namespace nfmeter::app
