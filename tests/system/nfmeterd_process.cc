// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/system/nfmeterd_process.h"

#include <errno.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/impl/codegen/sync_stream.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

constexpr absl::Duration kReadyTimeout = absl::Seconds(30);
constexpr std::chrono::seconds kCallTimeout(20);

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string FromBuffer(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// Leaves it to be reaped by its owner.
bool HasEnded(pid_t pid) {
  siginfo_t info{};
  return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == pid;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

}  // namespace

NotifySocket::NotifySocket()
    : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  const std::string path = dir_ / "notify";
  sockaddr_un address{.sun_family = AF_UNIX};
  memcpy(address.sun_path, path.data(), path.size());
  if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    abort();
  }
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
}

NotifySocket::~NotifySocket() {
  unsetenv("NOTIFY_SOCKET");
  close(fd_);
}

absl::StatusOr<std::string> NotifySocket::Next(absl::Duration timeout) {
  pollfd ready = {fd_, POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) !=
      1) {
    return absl::DeadlineExceededError("no notification");
  }
  char buffer[4096];
  const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
  if (size < 0) return absl::ErrnoToStatus(errno, "recv");
  return std::string(buffer, size);
}

std::string NfmeterdPath() { return NFMETERD_PATH; }

NfmeterdProcess::NfmeterdProcess(Options options) {
  std::vector<std::string> argv = std::move(options.wrapper);
  argv.push_back(NfmeterdPath());
  if (options.listen_on_socket) {
    argv.insert(argv.end(), {"--listen", target()});
  }
  argv.insert(argv.end(),
              {"--state-dir",
               options.state_dir.empty() ? dir_ / "state" : options.state_dir});
  argv.insert(argv.end(), options.arguments.begin(), options.arguments.end());
  process_ = std::make_unique<Background>(argv, dir_ / "log");
  // Children of the test that are started later have nothing to tell.
  unsetenv("NOTIFY_SOCKET");
}

absl::Status NfmeterdProcess::WaitUntilReady() {
  const absl::Time deadline = absl::Now() + kReadyTimeout;
  while (absl::Now() < deadline) {
    const auto message = notify_.Next(absl::Milliseconds(50));
    if (message.ok() && absl::StartsWith(*message, "READY=1")) {
      return absl::OkStatus();
    }
    if (HasEnded(process_->pid())) break;
  }
  return absl::InternalError(absl::StrCat("nfmeterd is not ready: ", Log()));
}

std::shared_ptr<grpc::Channel> NfmeterdProcess::Channel() const {
  return grpc::CreateChannel(target(), grpc::InsecureChannelCredentials());
}

std::string NfmeterdProcess::Log() const { return ReadFile(dir_ / "log"); }

std::string NfmeterdProcess::TcpAddress(const std::string& host) const {
  const std::string log = Log();
  const size_t begin = log.find(absl::StrCat(host, ":"));
  if (begin == std::string::npos) return "";
  return log.substr(begin, log.find_first_of(", \n", begin) - begin);
}

int NfmeterdProcess::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait(absl::Seconds(20));
}

absl::StatusOr<std::string> CallRaw(const std::shared_ptr<grpc::Channel>& to,
                                    const std::string& method,
                                    const std::string& request) {
  const grpc::internal::RpcMethod rpc(method.c_str(),
                                      grpc::internal::RpcMethod::NORMAL_RPC);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  grpc::ByteBuffer response;
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
          to.get(), rpc, &context, ToBuffer(request), &response);
  if (!status.ok()) return FromGrpc(status);
  return FromBuffer(response);
}

absl::StatusOr<std::string> FirstAnswerRaw(
    const std::shared_ptr<grpc::Channel>& to, const std::string& method,
    const std::string& request) {
  const grpc::internal::RpcMethod rpc(
      method.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  const std::unique_ptr<
      grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>
      stream(grpc::internal::ClientReaderWriterFactory<
             grpc::ByteBuffer, grpc::ByteBuffer>::Create(to.get(), rpc,
                                                         &context));
  stream->Write(ToBuffer(request));
  grpc::ByteBuffer response;
  if (stream->Read(&response)) {
    context.TryCancel();
    stream->Finish();
    return FromBuffer(response);
  }
  return FromGrpc(stream->Finish());
}

std::string HealthOf(const std::shared_ptr<grpc::Channel>& to,
                     const std::string& service) {
  // HealthCheckRequest{service}; HealthCheckResponse{status}.
  std::string request;
  if (!service.empty()) {
    request = absl::StrCat("\x0a", std::string(1, service.size()), service);
  }
  const auto response = CallRaw(to, "/grpc.health.v1.Health/Check", request);
  if (!response.ok())
    return std::string(absl::StatusCodeToString(response.status().code()));
  if (*response == "\x08\x01") return "SERVING";
  if (*response == "\x08\x02") return "NOT_SERVING";
  return "UNKNOWN";
}

}  // namespace nfmeter::testing
