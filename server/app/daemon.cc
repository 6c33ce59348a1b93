// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/daemon.h"

#include <grpcpp/health_check_service_interface.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "app/capabilities.h"
#include "app/connection_guard.h"
#include "app/grpc_server.h"
#include "app/host_identity.h"
#include "app/host_metrics.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "kernel/linux/host_kernel.h"
#include "security/access/policy_check.h"
#include "service/plan/read_plan.h"
#include "service/rule/rule_text.h"
#include "telemetry/domain_metrics.h"

namespace nfmeter::app {
namespace {

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

// Records of usage can't be written to the disk, or can again.
void LogWritable(const absl::Status& status) {
  if (status.ok()) {
    Log(telemetry::LogLevel::kInfo, "ledger written again");
  } else {
    Log(telemetry::LogLevel::kError, "ledger not written",
        {{"error", status.message()}});
  }
}

std::vector<std::string> LedgerNotices(const accounting::LedgerStatus& ledger) {
  std::vector<std::string> notices;
  if (!ledger.kept) {
    notices.push_back(
        "Totals of counters are kept in memory only, as this server has no "
        "state directory: its restart begins them anew.");
  }
  if (!ledger.writable.ok()) {
    notices.push_back(absl::StrCat(
        "The ledger of usage can't be written since ",
        absl::FormatTime(absl::RFC3339_sec, ledger.since, absl::UTCTimeZone()),
        ", and accounting goes on in memory: if this server ends meanwhile, "
        "what resets read may be missing in totals; ",
        ledger.writable.message()));
  }
  if (!ledger.damaged_file.empty()) {
    notices.push_back(absl::StrCat(
        "The ledger of usage was damaged and has begun anew since the start "
        "of this server; what is left of the old one is in ",
        ledger.damaged_file));
  }
  return notices;
}

// Labels went whose counters other programs have deleted, or could not go.
void LogPruning(const absl::StatusOr<size_t>& counters) {
  if (counters.ok()) {
    Log(telemetry::LogLevel::kInfo, "labels of deleted counters removed",
        {{"counters", *counters}});
  } else {
    Log(telemetry::LogLevel::kWarning, "labels not removed",
        {{"error", counters.status().message()}});
  }
}

// One line for each change of a plan; how far an application is, its caller
// sees.
void LogPlan(const accounting::PlanStatus& status) {
  using State = accounting::PlanStatus::State;
  switch (status.state) {
    case State::kApplying:
      return;
    case State::kInSync:
      Log(telemetry::LogLevel::kInfo, "plan in force",
          {{"plan", status.name},
           {"etag", status.etag},
           {"repairs", status.repairs}});
      return;
    case State::kDrifted:
    case State::kFought:
    case State::kFailed:
      Log(telemetry::LogLevel::kWarning, "plan not in force",
          {{"plan", status.name},
           {"repairs", status.repairs},
           {"why", status.message}});
  }
}

void LogRepair(const accounting::PlanRepair& repair) {
  Log(telemetry::LogLevel::kWarning, "rules of a plan put back",
      {{"plan", repair.plan},
       {"differences", repair.differences},
       {"counters", repair.counters},
       {"missed_from", absl::FormatTime(absl::RFC3339_sec, repair.missed_from,
                                        absl::UTCTimeZone())},
       {"missed_to", absl::FormatTime(absl::RFC3339_sec, repair.missed_to,
                                      absl::UTCTimeZone())}});
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

// Looks at plans are told to streams, which go first.
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
  return policy_file_->LookAgain().status();
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
  if (const std::string labels = LabelsNotice(); !labels.empty()) {
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

// Those that a server before this one was in the middle of.
void Daemon::FinishQuotaChanges() {
  if (config_.read_only) return;
  const auto finished = domain_->counter_editor().FinishQuotaChanges(
      clock_.BootTime() + config_.limits.default_rule_change_time);
  if (!finished.ok()) {
    Log(telemetry::LogLevel::kWarning, "changes of quotas not finished",
        {{"error", finished.status().message()}});
  } else if (*finished > 0) {
    Log(telemetry::LogLevel::kInfo, "changes of quotas finished",
        {{"counters", *finished}});
  }
}

void Daemon::MakeServices() {
  const service::Limits& limits = config_.limits;
  quota_streams_ = std::make_unique<service::QuotaStreams>(
      domain_->quotas(), domain_->labels(), streams_,
      [this] { return kernel_->capabilities()->quota_events; });
  counter_service_ = std::make_unique<service::CounterService>(
      gate_, domain_->counters(), domain_->counter_editor(), requests_,
      *quota_streams_, limits);
  rule_service_ = std::make_unique<service::RuleService>(
      gate_, domain_->rules(), domain_->rule_editor(), requests_, limits);
  snapshot_service_ = std::make_unique<service::SnapshotService>(
      gate_,
      service::SnapshotParts{.hub = domain_->snapshots(),
                             .labels = domain_->labels(),
                             .ledger = domain_->ledger(),
                             .streams = streams_},
      limits, [this] { return kernel_->capabilities()->acct; });
  flow_service_ = std::make_unique<service::FlowService>(
      gate_, domain_->flows(), limits, streams_);
  usage_service_ = std::make_unique<service::UsageService>(
      gate_, domain_->ledger(), domain_->labels(), streams_, limits);
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
  plan_streams_ =
      std::make_unique<service::PlanStreams>(domain_->plans(), streams_);
  plan_service_ = std::make_unique<service::PlanService>(
      gate_,
      service::PlanService::Parts{.plans = domain_->plans(),
                                  .counters = domain_->counters(),
                                  .rules = domain_->rules(),
                                  .requests = requests_,
                                  .streams = *plan_streams_},
      limits);
  node_service_ = std::make_unique<service::NodeService>(
      gate_, [this] { return DescribeNode(); }, domain_->snapshots(), limits);
}

// Without them it serves all the same: the kernel may lack what they need.
void Daemon::RestoreCounters() {
  if (config_.read_only) return;
  const auto restored = domain_->RestoreCounters();
  if (!restored.ok()) {
    Log(telemetry::LogLevel::kWarning, "counters not restored",
        {{"error", restored.status().message()}});
  } else if (!restored->empty()) {
    Log(telemetry::LogLevel::kInfo, "counters restored",
        {{"counters", restored->size()}});
  }
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
  metrics_->Make<HostMetrics>(domain_->kernel());
  if (config_.listen.tls.has_value()) {
    metrics_->Make<CertificateMetrics>(config_.listen.tls->certificate);
  }
  metrics_->AddCounters(domain_->ledger(), domain_->labels());
  metrics_->Make<telemetry::LaneMetrics>(domain_->lanes());
  metrics_->Make<telemetry::SnapshotMetrics>(domain_->snapshots());
  metrics_->Make<telemetry::QuotaMetrics>(domain_->quotas());
  metrics_->Make<telemetry::FlowMetrics>(domain_->flows());
  metrics_->Make<telemetry::LedgerMetrics>(domain_->ledger());
  metrics_->Make<telemetry::PlanMetrics>(domain_->plans());
  metrics_->Make<UnfedMetrics>(*domain_);
  for (const telemetry::MetricSource* source :
       std::initializer_list<const telemetry::MetricSource*>{
           &gate_, &streams_, snapshot_service_.get(), &requests_,
           &audit_log_}) {
    metrics_->Add(*source);
  }
  NFM_ASSIGN_OR_RETURN(metrics_server_, metrics_->Serve());
  return absl::OkStatus();
}

absl::Status Daemon::Listen() {
  MakeServices();
  RestoreCounters();
  NFM_RETURN_IF_ERROR(domain_->plans().Start());
  // Those whose rules were of a plan, which are where they belong now.
  FinishQuotaChanges();
  FollowPlanFiles();
  NFM_RETURN_IF_ERROR(ServeMetrics());
  security::ListenOptions listen = config_.listen;
  if (listen.tls.has_value()) {
    NFM_ASSIGN_OR_RETURN(tls_copies_, security::TlsCopies::Make(*listen.tls));
    listen.tls = tls_copies_->options();
  }
  // Only TLS has connections that age, and so a server of its own.
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
          config_.web.over_tls() ? std::optional(tls_copies_->texts())
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
  builder.RegisterService(counter_service_.get());
  builder.RegisterService(rule_service_.get());
  builder.RegisterService(snapshot_service_.get());
  builder.RegisterService(flow_service_.get());
  builder.RegisterService(usage_service_.get());
  builder.RegisterService(plan_service_.get());
  builder.RegisterService(node_service_.get());
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
  node.snapshot_subscribers = snapshot_service_->open_streams();
  node.capabilities =
      NodeCapabilities(*kernel_->capabilities(), kernel_->acct_backend(),
                       kernel_->rule_backend());
  node.ledger = {.status = domain_->ledger().status(),
                 .retention = config_.retention,
                 .keeps_answers = requests_.durable()};
  node.notices = domain_->Notices();
  if (const std::string labels = LabelsNotice(); !labels.empty()) {
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
  if (const std::string problems = CertificateProblems(); !problems.empty()) {
    node.notices.push_back(problems);
  }
  if (const uint64_t lost = audit_log_.lost(); lost > 0) {
    node.notices.push_back(absl::StrCat(
        lost,
        " lines of the audit log could not be written since the start of "
        "this server; its log says why."));
  }
  return node;
}

std::string Daemon::LabelsNotice() const {
  const accounting::LabelStore::Use use = domain_->labels().use();
  if (use.disk_bytes == 0) return "";
  return absl::StrCat("The state directory holds labels of ",
                      use.memory_bytes + use.disk_bytes,
                      " bytes, more than limits.max_label_bytes (",
                      config_.limits.max_label_bytes,
                      "): some are read from the disk each time, and no "
                      "counter gets new labels "
                      "until others are deleted or the limit is raised.");
}

void Daemon::LookAtPolicy() {
  if (policy_file_ == nullptr) return;
  const auto outcome = policy_file_->LookAgain();
  if (!outcome.ok()) {
    Log(telemetry::LogLevel::kError, "policy refused, the old one stays",
        {{"error", outcome.status().message()}});
  } else if (*outcome == security::PolicyFile::Outcome::kTaken) {
    snapshot_service_->AuthorizeAgain(authorizer_);
    quota_streams_->AuthorizeAgain(authorizer_);
    flow_service_->AuthorizeAgain(authorizer_);
    usage_service_->AuthorizeAgain(authorizer_);
    plan_streams_->AuthorizeAgain(authorizer_);
    Log(telemetry::LogLevel::kInfo, "policy taken",
        {{"file", policy_file_->path()}});
    LogPolicyOddities();
  }
}

// Those of the start are among those of the configuration.
void Daemon::LogPolicyOddities() const {
  const security::Policy& policy = *policy_file_->policy();
  const auto log = [](const std::vector<std::string>& oddities) {
    for (const std::string& oddity : oddities) {
      Log(telemetry::LogLevel::kWarning, "odd policy", {{"detail", oddity}});
    }
  };
  log(security::FindOddities(policy));
  log(security::FindClosedListeners(ListenerGrants(config_), &policy));
}

void Daemon::LookAtCertificates() {
  if (tls_copies_ == nullptr) return;
  auto oddities = tls_copies_->LookAgain();
  if (oddities.ok() && config_.web.over_tls() && web_server_ != nullptr) {
    const absl::Status used =
        web_server_->UseCertificates(tls_copies_->texts());
    if (!used.ok()) oddities = used;
  }
  const std::string problems = oddities.ok()
                                   ? absl::StrJoin(*oddities, "; ")
                                   : std::string(oddities.status().message());
  const absl::string_view what_follows =
      oddities.ok() ? "New connections over TLS may fail: "
                    : "The certificates' files are wrong, and those from "
                      "before are in force: ";
  const std::string notice =
      problems.empty() ? "" : absl::StrCat(what_follows, problems);
  {
    absl::MutexLock lock(&problems_mutex_);
    if (notice == certificate_problems_) return;
    certificate_problems_ = notice;
  }
  if (!oddities.ok()) {
    Log(telemetry::LogLevel::kError, "certificates unusable",
        {{"error", problems}});
  } else if (!problems.empty()) {
    Log(telemetry::LogLevel::kWarning, "odd certificates",
        {{"detail", problems}});
  } else {
    Log(telemetry::LogLevel::kInfo, "certificates usable again");
  }
}

std::string Daemon::CertificateProblems() const {
  absl::MutexLock lock(&problems_mutex_);
  return certificate_problems_;
}

void Daemon::LookAtFiles() {
  LookAtPolicy();
  LookAtCertificates();
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
  snapshot_service_->Shutdown();
  quota_streams_->Shutdown();
  flow_service_->Shutdown();
  usage_service_->Shutdown();
  plan_streams_->Shutdown();
  domain_->StopWaiting();
  if (file_plans_ != nullptr) file_plans_->Stop();
  const auto deadline = absl::ToChronoTime(absl::Now() + grace);
  std::vector<std::thread> endings;
  for (const auto& server : servers_) {
    endings.emplace_back([&server, deadline] { server->Shutdown(deadline); });
  }
  for (std::thread& ending : endings) ending.join();
  for (const auto& server : servers_) server->Wait();
}

}  // namespace nfmeter::app
