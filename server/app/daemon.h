// SPDX-License-Identifier: GPL-3.0-or-later
// All parts of nfmeterd, put together.
#ifndef NFMETER_APP_DAEMON_H_
#define NFMETER_APP_DAEMON_H_

#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "accounting/domain.h"
#include "accounting/ledger/answer_store.h"
#include "app/certificate_watch.h"
#include "app/config.h"
#include "app/kernel_watch.h"
#include "app/metrics.h"
#include "app/state_directory.h"
#include "kernel/kernel.h"
#include "security/access/authorizer.h"
#include "security/access/policy_file.h"
#include "service/gate/gate.h"
#include "service/gate/request_cache.h"
#include "service/gate/stream_set.h"
#include "service/node/node_service.h"
#include "service/plan/file_plans.h"
#include "service/services.h"
#include "telemetry/audit_log.h"
#include "telemetry/call_log.h"
#include "web/web_server.h"

namespace nfmeter::app {

// A server on this host's kernel. Started step by step, so that whoever starts
// it knows which step failed. Destroying it before Shutdown() cuts calls off.
// Not thread-safe.
class Daemon {
 public:
  // `config` has passed CheckConfig().
  explicit Daemon(const Config& config);
  ~Daemon();

  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // In this order, each once and only if the one before was OK:
  absl::Status OpenKernel();  // see kernel::OpenHostKernel()
  absl::Status OpenPolicy();  // see security::PolicyFile
  // See StateDirectory, accounting::Domain and telemetry::AuditLog.
  absl::Status OpenState();
  absl::Status Listen();  // see security::StartServer(); serves from then on

  // What the probes said; after OpenKernel().
  kernel::Capabilities capabilities() const { return *kernel_->capabilities(); }
  // Whose jobs tell whether the server still works; after OpenState().
  accounting::Lane& counter_lane() { return domain_->counter_lane(); }
  // Where it listens; after Listen().
  const std::vector<security::ListenAddress>& addresses() const {
    return addresses_;
  }
  // Where its metrics are, or empty; after Listen().
  std::string metrics_url() const {
    return metrics_server_ == nullptr ? "" : metrics_server_->url();
  }

  // Where its page is, or empty; after Listen().
  std::string web_url() const {
    return web_server_ == nullptr ? "" : web_server_->url();
  }

  // Gives back what nobody uses any more; each second or so, after Listen().
  void Upkeep() { domain_->Upkeep(); }
  // Takes a policy that has changed since; streams that it does not allow end.
  // Logs that, and what has become wrong with policy and certificates. After
  // Listen().
  void LookAtFiles();
  // Probes the kernel again if it is time; see KernelWatch. After Listen().
  void LookAtKernel() { kernel_watch_.Tick(); }
  // Both at once, and the audit file is opened anew; for SIGHUP.
  void Reload();

  // Ends: no new calls, health NOT_SERVING, streams told so, other calls
  // cancelled after `grace`. Returns when all have ended, whether or not
  // clients close their connections.
  void Shutdown(absl::Duration grace);

 private:
  service::NodeInfo DescribeNode() const;
  void EnableFlowAccounting();
  void FollowPlanFiles();
  void MakeServices();
  absl::Status Serve(const security::ListenOptions& listen, bool over_tls);
  absl::Status ServeMetrics();
  void WriteMetrics(telemetry::MetricsText& text) const;
  absl::Status ServePage();
  std::vector<telemetry::CallObserver*> CallObservers();
  void LookAtPolicy();
  void LogPolicyWarnings() const;
  void NoteRefusal(const std::string& principal, absl::string_view method,
                   const absl::Status& status);
  void FinishQuotaChanges();
  void SetHealth();

  const Config config_;
  Clock& clock_;
  const std::unique_ptr<Metrics> metrics_;  // null: none
  service::NodeInfo node_;                  // what does not change
  // Why flows are not accounted though they were to be; OK: they are.
  absl::Status flow_accounting_;

  // Each uses those before it, and is destroyed before them.
  std::unique_ptr<kernel::Kernel> kernel_;
  KernelWatch kernel_watch_;
  std::unique_ptr<StateDirectory> state_;
  // Null: there is no state directory. The domain tells it of a new file.
  std::unique_ptr<accounting::AnswerStore> answers_;
  std::unique_ptr<accounting::Domain> domain_;
  telemetry::AuditLog audit_log_;
  telemetry::CallLog call_log_;
  security::Authorizer authorizer_;
  std::unique_ptr<security::PolicyFile> policy_file_;  // null: no policy
  service::Gate gate_;
  service::RequestCache requests_;
  service::StreamBudget streams_;
  std::unique_ptr<service::Services> services_;
  std::unique_ptr<service::FilePlans> file_plans_;  // null: none
  std::unique_ptr<telemetry::MetricsServer> metrics_server_;
  std::unique_ptr<CertificateWatch> certificates_;  // null: no TLS
  // For listeners without TLS, and with it.
  std::vector<std::unique_ptr<grpc::Server>> servers_;
  std::vector<security::ListenAddress> addresses_;
  std::atomic<bool> listening_ = false;         // servers_ is complete
  std::unique_ptr<web::WebServer> web_server_;  // a client of the first server
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_DAEMON_H_
